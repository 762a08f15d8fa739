"""A student sees raw pixels as the training saw prepared ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.ran import Ran, ran_study, small_study
from torch import nn

from study.data.load import load_dataset
from study.data.tensors import ImageTensors
from study.export.student import Preprocessing, Probabilities, Student, WithProbabilities, logits_on

pytest_plugins = ("support.ran",)

STEPS = [
    [],
    ["subtract_pixel_mean"],
    ["local_contrast_normalization"],
    ["local_contrast_normalization", "subtract_pixel_mean"],
]


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: "+".join(steps) or "division alone")
def test_preprocessing_is_what_the_training_saw(steps: list[str], tmp_path: Path) -> None:
    config = small_study(data={"name": "digits", "preprocess": steps}).data
    prepared = load_dataset(config, tmp_path)
    raw = load_dataset(config.model_copy(update={"preprocess": ()}), tmp_path)
    side = prepared.input_shape[1:] if "local_contrast_normalization" in steps else None
    preprocessing = Preprocessing(raw.max_value, side, prepared.pixel_mean)
    seen = preprocessing(torch.from_numpy(raw.test.images))
    trained_on = ImageTensors.of(prepared, "test").batch(torch.arange(len(raw.test)))
    torch.testing.assert_close(seen, trained_on, rtol=1e-5, atol=1e-5)
    if side is None:
        assert torch.equal(seen, trained_on)  # the same operations in the same order


def test_preprocessing_adds_no_weights() -> None:
    student = Student(Preprocessing(255.0, (8, 8), np.zeros((1, 8, 8), np.float32)), nn.Flatten())
    assert not student.state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_a_student_refuses_images_that_are_not_bytes(dtype: torch.dtype) -> None:
    """Images that are already scaled to [0, 1] would be scaled twice, and the answers would be chance."""
    student = Student(Preprocessing(255.0), nn.Flatten())
    with pytest.raises(TypeError, match=rf"raw images as torch\.uint8, as they are stored, not {dtype}"):
        student(torch.rand(3, 1, 2, 2).to(dtype))


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    student = Student(Preprocessing(255.0), nn.Flatten())
    images = torch.randint(0, 256, (3, 1, 2, 2), dtype=torch.uint8)
    logits, probabilities = WithProbabilities(student)(images)
    assert torch.equal(probabilities, logits.softmax(dim=1))
    assert torch.equal(Probabilities(student)(images), probabilities)


def test_an_opened_student_errs_as_its_trial_did(ran: Ran) -> None:
    opened = ran.opened()
    logits = logits_on(opened.student, opened.images)
    assert (logits.argmax(axis=1) != opened.labels).mean() == pytest.approx(opened.choice.test_error)
    assert not opened.student.training
    assert not any(parameter.requires_grad for parameter in opened.student.parameters())


def test_preprocessing_is_the_same_for_normalised_images(ran_folder: Path) -> None:
    config = small_study(
        name="normalised",
        data={"name": "digits", "preprocess": STEPS[-1]},
        seeds=[0],
        arms=[{"method": "noisy_student", "sigma": 0.3}],
    )
    opened = ran_study(config, ran_folder, ran_folder).opened()
    logits = logits_on(opened.student, opened.images)
    assert opened.images.dtype == np.uint8
    assert (logits.argmax(axis=1) != opened.labels).mean() == pytest.approx(opened.choice.test_error)
