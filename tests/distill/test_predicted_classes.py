"""How many classes a network predicts: one is a network that has collapsed, whatever its loss."""

import pytest
import torch
from torch import Tensor, nn

from study.config import DataConfig
from study.data.load import load_dataset
from study.data.tensors import ImageTensors
from study.distill.evaluation import error_of, predicted_classes_of


class Says(nn.Module):
    """Predicts the label that an image's index asks for."""

    def __init__(self, classes: int, value: float = 1.0) -> None:
        super().__init__()
        self._classes, self._value, self._seen = classes, value, 0

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 10)
        for row in range(len(images)):
            logits[row, (self._seen + row) % self._classes] = self._value
        self._seen += len(images)
        return logits


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageTensors:
    return ImageTensors.of(load_dataset(DataConfig(name="digits"), tmp_path_factory.mktemp("data")), "test")


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_counts_the_different_predictions_over_all_blocks(images: ImageTensors, classes: int) -> None:
    assert predicted_classes_of(Says(classes), images) == classes


def test_a_network_of_nan_predicts_one_class(images: ImageTensors) -> None:
    after = nn.Linear(10, 10)
    with torch.no_grad():
        after.weight.fill_(float("nan"))
    nan = nn.Sequential(Says(10, float("nan")), after)
    assert predicted_classes_of(nan, images) == 1
    assert error_of(nan, images) == pytest.approx(0.9, abs=0.05)
