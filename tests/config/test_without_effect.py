"""Settings without effect may not be given, and are not printed."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from support.study_files import Document, mistake_in, studies, study_file

from study.config import (
    StudyConfig,
    dump_study,
    parse_study,
)

_SEARCH = {"space": "sigma_alpha"}

_SOFT = {"method": "soft_targets"}

_NOISY = {"method": "noisy_teacher", "sigma": 0.5}

_TWO = [{"network": "digits-cnn"}, {"network": "digits-fc32"}]

_GIVEN = {"network": "digits-cnn", "weights": "file.safetensors"}

_SGD: Document = {"optimizer": "sgd"}


def _assistant(**settings: Any) -> list[Document]:
    return [{"network": "digits-cnn", "teachers": [{"network": "digits-cnn"}], **settings}]


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        # the optimizer
        ({"train": {"momentum": 0.9}}, "train.momentum", "with the optimizer adam"),
        (
            {"teachers": [{"network": "a", "train": {"momentum": 0.9}}]},
            "teachers.0.train.momentum",
            "with the optimizer",
        ),
        ({"arms": [{**_NOISY, "train": {"momentum": 0.5}}]}, "arms.0.train.momentum", "with the optimizer adam"),
        (
            {"train": _SGD, "arms": [{**_NOISY, "train": {"momentum": [0.1, 0.5], "optimizer": "adam"}}]},
            "arms.0.train.momentum",
            "with the optimizer adam",
        ),
        (
            {"baseline": {"method": "labels", "train": {"momentum": 0.5}}},
            "baseline.train.momentum",
            "with the optimizer",
        ),
        ({"search": {"train": {"momentum": [0.1, 0.9]}}}, "search.train.momentum", "with the optimizer adam"),
        (
            {
                "train": {"lr": 0.1},
                "baseline": {"method": "labels", "train": {"lr": 1}},
                "arms": [{**_NOISY, "train": {"lr": 2}}],
            },
            "train.lr",
            "because every training of a student has a value of its own",
        ),
        (
            {
                "train": {"weight_decay": 0.1},
                "baseline": {"method": "labels", "weight_decay": 0},
                "arms": [{**_NOISY, "weight_decay": 1}],
            },
            "train.weight_decay",
            "because every training of a student has a value of its own",
        ),
        (
            {
                "train": {"lr": 0.1},
                "arms": [],
                "baseline": {"method": "labels", "search": "equal"},
                "search": {"train": {"lr": [0.1, 0.2]}},
            },
            "train.lr",
            "because every training of a student has a value of its own",
        ),
        # the search
        (
            {"search": {"sampler": "grid", "trials": 60}},
            "search.trials",
            "with the sampler grid, which has as many trials",
        ),
        *(
            ({"search": {"sampler": sampler, "grid_points": 5}}, "search.grid_points", f"with the sampler {sampler}")
            for sampler in ("random", "qmc", "tpe", "gp", "cmaes")
        ),
        *(
            (
                {"search": {"sampler": sampler, "scheduler": scheduler, "startup_trials": 10}},
                "search.startup_trials",
                f"with the sampler {sampler} and the scheduler {scheduler}",
            )
            for sampler in ("random", "qmc", "grid")
            for scheduler in ("fifo", "asha")
        ),
        ({"search": {"grace_epochs": 1}}, "search.grace_epochs", "with the scheduler fifo, which stops no trial early"),
        ({"search": {"reduction_factor": 4}}, "search.reduction_factor", "with the scheduler fifo"),
        (
            {"search": {"scheduler": "median", "reduction_factor": 4}},
            "search.reduction_factor",
            "with the scheduler median",
        ),
        # the method
        ({"arms": [{"method": "labels", "teachers": _TWO}]}, "arms.0.teachers", "with the method labels, which has no"),
        ({"baseline": {"method": "labels", "teachers": _TWO}}, "baseline.teachers", "with the method labels"),
        ({"arms": [{**_SOFT, "alpha": 0.5}]}, "arms.0.alpha", "without `sigma`"),
        ({"arms": [{**_SOFT, "noise": "frozen"}]}, "arms.0.noise", "without `sigma`"),
        ({"arms": [{**_NOISY, "sigma": 0, "alpha": 0.5}]}, "arms.0.alpha", "with sigma 0"),
        ({"arms": [{**_NOISY, "sigma": {"uniform": [0, 0]}, "noise": "fresh"}]}, "arms.0.noise", "with sigma 0"),
        ({"arms": [{**_NOISY, "alpha": 0, "noise": "frozen"}]}, "arms.0.noise", "with alpha 0"),
        ({"arms": [{**_SOFT, "sigma": 0.5, "alpha": [0, 0]}]}, "arms.0.sigma", "with alpha 0"),
        *(
            (
                {"arms": [{**_SOFT, "hard_loss_weight": 1, **setting}]},
                f"arms.0.{min(setting)}",
                "with hard_loss_weight 1",
            )
            for setting in ({"temperature": 4}, {"sigma": 0.5}, {"combine": "mean_distribution"})
        ),
        ({"arms": [{**_NOISY, "combine": "geometric_mean"}]}, "arms.0.combine", "with one teacher"),
        ({"arms": [{**_NOISY, "combine": "signed_geometric_mean"}]}, "arms.0.combine", "with one teacher"),
        (
            {"teachers": _TWO, "arms": [{**_NOISY, "teachers": _TWO[:1], "combine": "geometric_mean"}]},
            "arms.0.combine",
            "with one",
        ),
        ({"arms": [{**_SOFT, "combine": "mean_distribution"}]}, "arms.0.combine", "with one teacher"),
        # teachers
        (
            {"teachers": [{**_GIVEN, "train": {"epochs": 3}}]},
            "teachers.0.train",
            "for a teacher that is read from `weights`",
        ),
        ({"teachers": [{**_GIVEN, "seed": 0}]}, "teachers.0.seed", "for a teacher that is read from `weights`"),
        (
            {"arms": [{**_NOISY, "teachers": [{**_GIVEN, "seed": 1}]}]},
            "arms.0.teachers.0.seed",
            "for a teacher that is",
        ),
        ({"teachers": _assistant(combine="geometric_mean")}, "teachers.0.combine", "with one teacher"),
        ({"teachers": _assistant(alpha=0.5)}, "teachers.0.alpha", "without `sigma`"),
        ({"teachers": _assistant(sigma=0.5, alpha=0)}, "teachers.0.sigma", "with alpha 0"),
        (
            {"teachers": _assistant(hard_loss_weight=1, temperature=4)},
            "teachers.0.temperature",
            "with hard_loss_weight 1",
        ),
        ({"teachers": _assistant(teachers=[{**_GIVEN, "seed": 1}])}, "teachers.0.teachers.0.seed", "for a teacher"),
    ],
)
def test_a_setting_without_effect_is_refused(changes: Document, key: str, why: str) -> None:
    said = mistake_in(study_file(**changes))
    assert said.startswith(f"f: {key}: has no effect {why}")
    assert said.endswith("; remove it")


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {**_SGD, "momentum": 0.5}},
        {"arms": [{**_NOISY, "train": {**_SGD, "momentum": 0.5}}]},
        {"arms": [{**_NOISY, "train": {"optimizer": ["adam", "sgd"], "momentum": [0.5, 0.9]}}]},
        {"train": {"momentum": 0.5}, "arms": [{**_NOISY, "train": _SGD}]},
        {"train": {"momentum": 0.5}, "search": {"train": {"optimizer": ["adam", "sgd"]}}},
        {"train": {"momentum": 0.5}, "search": {"space": "my:space"}},
        {"search": {"space": "my:space", "train": {"momentum": [0.1, 0.9]}}},
        {"search": {"train": {"optimizer": ["adam", "sgd"], "momentum": [0.1, 0.9]}}},
        {"train": {"lr": 0.1}, "search": {"train": {"lr": [0.1, 0.2]}}},
        {
            "search": {
                "sampler": "grid",
                "grid_points": 3,
                "scheduler": "median",
                "startup_trials": 2,
                "grace_epochs": 2,
            }
        },
        {"search": {"sampler": "random", "trials": 9, "scheduler": "asha", "reduction_factor": 2, "grace_epochs": 2}},
        {"search": {"sampler": "cmaes", "startup_trials": 9}},
        {"arms": [{**_NOISY, "sigma": [0, 0.5], "alpha": [0, 0.5], "noise": ["fresh", "frozen"]}]},
        {"arms": [{**_NOISY, "sigma": 0}, {**_NOISY, "alpha": 0}, {**_SOFT, "sigma": 0}]},
        {"arms": [{**_SOFT, "hard_loss_weight": [0, 1], "temperature": [1, 4], "sigma": 0.1}]},
        {"arms": [{**_NOISY, "teachers": _TWO, "combine": "geometric_mean"}]},
        {"teachers": _TWO, "arms": [{**_NOISY, "combine": "signed_geometric_mean"}]},
        {"arms": [{**_SOFT, "sigma": 0.5, "combine": "mean_distribution"}]},
        {"teachers": _assistant(sigma=0.5, combine="mean_distribution")},
        {"teachers": [_GIVEN]},
        {"arms": [{"method": "labels", "teachers": None}]},
    ],
)
def test_a_setting_with_a_possible_effect_is_accepted(changes: Document) -> None:
    config = parse_study(study_file(**changes), "f")
    assert parse_study(dump_study(config), "again") == config


def test_a_printed_study_leaves_out_what_has_no_effect() -> None:
    printed = yaml.safe_load(dump_study(parse_study(study_file(teachers=[_GIVEN], search=_SEARCH), "f")))
    assert printed["teachers"] == [{**_GIVEN, "strict": True}]
    assert "momentum" not in printed["train"]
    assert printed["train"]["lr"] == 1e-3
    assert {"grid_points", "grace_epochs", "reduction_factor"}.isdisjoint(printed["search"])
    assert {"trials", "startup_trials"} <= printed["search"].keys()


@given(studies)
@settings(max_examples=20, deadline=None)
def test_what_has_no_effect_is_neither_printed_nor_accepted(document: Document) -> None:
    config = StudyConfig.model_validate(document)
    for path, _ in config.without_effect():
        printed = yaml.safe_load(dump_study(config))
        here: Any = printed
        model: Any = config
        for part in path[:-1]:
            here = here[part]
            model = model[part] if isinstance(part, int) or isinstance(model, dict) else getattr(model, part)
        value = getattr(model, str(path[-1]))
        assert path[-1] not in here
        if value is not None:
            here[path[-1]] = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            assert "has no effect" in mistake_in(yaml.safe_dump(printed))
