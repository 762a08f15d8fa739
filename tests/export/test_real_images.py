"""MLflow's server, ONNX Runtime and the network in PyTorch agree on real pictures of MNIST."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.ran import ran_study, small_study
from support.serving import answer, served, softmax

from study.export.files import export_student
from study.export.registry import CHAMPION, register_student
from study.export.student import logits_on

DATA = Path(os.environ.get("NOISY_STUDY_DATA") or "")


@pytest.mark.skipif(
    not (DATA / "MNIST" / "raw").is_dir(), reason="MNIST is not in NOISY_STUDY_DATA/MNIST/raw, and is not fetched"
)
def test_server_and_onnx_agree_on_mnist(tmp_path: Path) -> None:
    """A model server and ONNX Runtime agree with the student on MNIST."""
    config = small_study(
        name="mnist",
        data={"name": "mnist", "validation": 0.9, "preprocess": ["subtract_pixel_mean"]},
        teachers=[{"network": "FC10", "train": {"epochs": 1}}],
        student={"network": "[C3(S2P1)@8-MP2(S2)]-FC10"},
        arms=[{"method": "noisy_teacher", "sigma": 0.3}],
        seeds=[0],
    )
    study = ran_study(config, tmp_path, DATA)
    opened = study.opened()
    expected = logits_on(opened.student, opened.images)
    assert (expected.argmax(axis=1) != opened.labels).mean() == pytest.approx(opened.choice.test_error)

    (file,) = export_student(study.uri, study.name, tmp_path / "out", study.root, DATA).files
    assert (file.images, file.other_classes) == (10_000, 0)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "student.onnx", providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {"images": opened.images})[0]
    np.testing.assert_allclose(probabilities, softmax(expected), rtol=1e-3, atol=1e-5)

    register_student(study.uri, opened)
    with served(study.uri, f"models:/mnist-student@{CHAMPION}", tmp_path) as address:
        given = answer(address, opened.images[:200])
    np.testing.assert_allclose(given, probabilities[:200], rtol=1e-3, atol=1e-5)
    assert np.array_equal(given.argmax(axis=1), expected[:200].argmax(axis=1))
