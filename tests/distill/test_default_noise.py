"""The default noise and its draws are those of earlier versions.

The numbers were computed with commit c885df9, before noise had settings. Seeds, orders, selections and the positions of
the generators are integers, which no processor changes. Perturbed logits and losses are rounded, because processors may
differ in the last bits of a logarithm or a sum.
"""

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
from support.small_training import logits_for, small_data, trial
from torch import Tensor

from study.config import Sigma, TrialConfig, Uniform
from study.distill.noise_size import perturbation_of
from study.distill.streams import Streams, derived
from study.distill.trainer import DistillationTrainer
from study.noise import FORMS
from study.noise.perturbation import Perturbation
from study.noise.settings import FORMER_WORDS, Noise

SEEDS = {
    0: {
        "order": 315_574_293_479_967_419,
        "sigma": 3_815_005_537_113_720_091,
        "selection": 2_844_728_070_956_912_407,
        "noise": 6_407_881_627_401_620_128,
        "initial weights": 8_921_351_686_008_153_543,
        "dropout": 5_154_439_368_260_325_481,
    },
    1: {
        "order": 450_256_351_773_144_610,
        "sigma": 5_381_249_388_595_917_846,
        "selection": 3_952_088_049_295_300_323,
        "noise": 614_397_012_099_086_478,
        "initial weights": 842_118_790_388_649_927,
        "dropout": 6_171_314_031_419_222_874,
    },
    7: {
        "order": 741_461_312_816_704_234,
        "sigma": 7_825_601_995_015_090_765,
        "selection": 1_646_796_176_701_475_864,
        "noise": 3_665_582_955_588_138_384,
        "initial weights": 3_417_659_137_786_901_989,
        "dropout": 8_343_610_071_599_798_809,
    },
}
ORDER = [10, 3, 11, 4, 0, 6, 9, 7, 1, 5, 2, 8]

LOGITS = torch.tensor(
    [
        [4.0, -2.0, 1.0, 0.0],
        [-1.0, 3.0, -2.0, 8.0],
        [2.0, 2.0, -5.0, 1.0],
        [6.0, -3.0, 0.0, -1.0],
        [1.0, 5.0, 2.0, -4.0],
        [-2.0, 1.0, 7.0, 3.0],
    ]
)
BATCHES = ([0, 1, 2, 3, 4, 5], [5, 0, 3])

Case = tuple[Sigma, str, list[list[list[float]]], dict[str, int]]
PERTURBED: dict[str, Case] = {
    "fresh": (
        0.5,
        "fresh",
        [
            [
                [8.7802, -2.8177, 1.1142, 0.0],
                [-1.0, 3.0, -2.0, 8.0],
                [2.0, 2.0, -5.0, 1.0],
                [8.5743, -1.8315, 0.0, -1.1469],
                [1.0, 5.0, 2.0, -4.0],
                [-2.6016, 0.3213, 2.4406, 2.9585],
            ],
            [[-2.0, 1.0, 7.0, 3.0], [3.0404, 0.0276, 0.1266, 0.0], [6.5653, -1.1269, 0.0, -0.7925]],
        ],
        {"order": 454580, "sigma": 48644, "selection": 99119, "noise": 442797},
    ),
    "uniform": (
        Uniform(uniform=(0.01, 1)),
        "fresh",
        [
            [
                [12.7837, -3.5026, 1.2098, 0.0],
                [-1.0, 3.0, -2.0, 8.0],
                [2.0, 2.0, -5.0, 1.0],
                [10.7303, -0.8528, -0.0, -1.27],
                [1.0, 5.0, 2.0, -4.0],
                [-3.1055, -0.2472, -1.3779, 2.9237],
            ],
            [[-2.0, 1.0, 7.0, 3.0], [2.2118, 1.7785, -0.6275, -0.0], [7.0534, 0.4905, 0.0, -0.6133]],
        ],
        {"order": 454580, "sigma": 48644, "selection": 99119, "noise": 442797},
    ),
    "frozen": (
        0.5,
        "frozen",
        [
            [
                [8.7802, -2.8177, 1.1142, 0.0],
                [-1.0, 3.0, -2.0, 8.0],
                [2.0, 2.0, -5.0, 1.0],
                [8.5743, -1.8315, 0.0, -1.1469],
                [1.0, 5.0, 2.0, -4.0],
                [-2.6016, 0.3213, 2.4406, 2.9585],
            ],
            [[-2.6016, 0.3213, 2.4406, 2.9585], [8.7802, -2.8177, 1.1142, 0.0], [8.5743, -1.8315, 0.0, -1.1469]],
        ],
        {"order": 454580, "sigma": 573642, "selection": 639160, "noise": 511348},
    ),
}
"""By a name: σ, the former word for the noise, the perturbed logits of both mini-batches, and the next integer of each
generator."""

TRAININGS: dict[str, tuple[dict[str, Any], list[float], dict[str, float], dict[str, int]]] = {
    "logit_regression": (
        {"method": "logit_regression"},
        [7.1844, 6.90507],
        {"fc1.weight": -1.6359, "fc1.bias": 0.3343, "fc2.weight": -0.2409, "fc2.bias": 0.2288},
        {"order": 117271, "sigma": 962345, "selection": 113431, "noise": 651668},
    ),
    "noisy_teacher": (
        {"method": "noisy_teacher", "sigma": 0.6, "alpha": 0.4},
        [8.87284, 7.37866],
        {"fc1.weight": -1.6607, "fc1.bias": 0.314, "fc2.weight": -0.2734, "fc2.bias": 0.2171},
        {"order": 117271, "sigma": 917804, "selection": 455986, "noise": 180661},
    ),
    "noisy_student": (
        {"method": "noisy_student", "sigma": 0.6, "alpha": 0.4},
        [7.2686, 6.93012],
        {"fc1.weight": -1.6506, "fc1.bias": 0.3133, "fc2.weight": -0.2711, "fc2.bias": 0.2166},
        {"order": 117271, "sigma": 917804, "selection": 455986, "noise": 180661},
    ),
    "frozen": (
        {"method": "noisy_teacher", "sigma": 0.6, "alpha": 0.4, "noise": "frozen"},
        [8.08469, 7.80884],
        {"fc1.weight": -1.7789, "fc1.bias": 0.289, "fc2.weight": -0.2264, "fc2.bias": 0.216},
        {"order": 117271, "sigma": 9257, "selection": 780634, "noise": 585776},
    ),
}
"""By a name: settings, losses of two epochs, sums of the weights, and the next integer of each generator."""


def next_integers(streams: Streams) -> dict[str, int]:
    """The next integer of each generator. It depends on every draw before it."""
    names = ("order", "sigma", "selection", "noise")
    return {name: int(torch.randint(1_000_000, (1,), generator=getattr(streams, name))) for name in names}


def perturbed(noise: Perturbation, indices: list[int]) -> Tensor:
    return noise.applied(LOGITS[indices], noise.drawn(torch.tensor(indices)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seed_of_every_generator_is_as_before(seed: int) -> None:
    assert {purpose: derived(seed, purpose) for purpose in SEEDS[seed]} == SEEDS[seed]


def test_the_order_of_the_images_is_as_before() -> None:
    assert torch.randperm(12, generator=Streams.of(0).order).tolist() == ORDER


@pytest.mark.parametrize("name", PERTURBED)
def test_perturbed_logits_are_as_before(name: str) -> None:
    sigma, word, expected, after = PERTURBED[name]
    streams = Streams.of(7)
    noise = Perturbation(FORMER_WORDS[word], sigma, 0.5, len(LOGITS), LOGITS.shape[1], streams)
    for indices, logits in zip(BATCHES, expected, strict=True):
        found = perturbed(noise, indices)
        assert found.tolist() == [pytest.approx(row, abs=1e-4) for row in logits]
        unperturbed = [index for index, row in enumerate(logits) if row == LOGITS[indices][index].tolist()]
        assert torch.equal(found[unperturbed], LOGITS[indices][unperturbed])
        assert 0 < len(unperturbed) < len(indices) or word == "frozen"
    assert next_integers(streams) == after


def test_the_default_settings_are_the_former_word_fresh() -> None:
    assert Noise() == FORMER_WORDS["fresh"]
    assert Noise(per="image") == FORMER_WORDS["frozen"]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_as_before(name: str) -> None:
    settings, losses, sums, after = TRAININGS[name]
    config = trial(**settings, seed=5, epochs=2)
    data = small_data()
    trainer = DistillationTrainer(config, data, logits_for(data), onednn=False)
    assert [trainer.run_epoch().train_loss for _ in losses] == pytest.approx(losses, rel=1e-3)
    found = {name: float(weights.double().sum()) for name, weights in trainer.network.state_dict().items()}
    assert found == pytest.approx(sums, abs=1e-2)
    streams = Streams.of(5)
    streams.load_state_dict(trainer.state_dict()["streams"])
    assert next_integers(streams) == after


def test_the_generators_of_one_seed_are_uncorrelated() -> None:
    """The draws of every two purposes, and of every two neighbouring seeds, are uncorrelated."""
    count = 20_000
    purposes = list(SEEDS[0])
    draws = [
        torch.rand(count, generator=torch.Generator().manual_seed(derived(seed, purpose))).numpy()
        for seed in (0, 1)
        for purpose in purposes
    ]
    correlations = np.corrcoef(np.array(draws)) - np.eye(len(draws))
    assert np.abs(correlations).max() < 5 / count**0.5


def _every_setting() -> list[Noise]:
    fields = ("across", "per", "select", "schedule")
    values = [get_args(Noise.model_fields[field].annotation) for field in fields]
    found = []
    for form in (form.name for form in FORMS if form.vanishes):
        for combination in product(*values):
            settings = dict(zip(fields, combination, strict=True))
            if (settings["select"], settings["per"]) != ("batch", "image"):
                found.append(Noise.model_validate({"form": form, **settings}))
    return found


@pytest.mark.parametrize("nothing", [{"sigma": 0.0}, {"alpha": 0.0}, {"sigma": Uniform(uniform=(0.0, 0.0))}])
@pytest.mark.parametrize("method", ["noisy_teacher", "noisy_student", "soft_targets"])
def test_without_sigma_or_alpha_no_setting_has_noise(method: str, nothing: dict[str, Any]) -> None:
    """A training without a perturbation is that of the baseline to the last bit, for every form but `scaled`."""
    settings = _every_setting()
    assert len(settings) >= 60
    for noise in settings:
        config: TrialConfig = trial(method, **{"sigma": 0.5, "alpha": 0.5, "noise": noise, **nothing})
        assert not config.has_noise
        assert perturbation_of(config, LOGITS, Streams.of(0)) is None
