"""Strategies for study files: valid ones, nearly valid ones, and anything at all."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import yaml
from hypothesis import strategies as st
from pydantic import ValidationError

from study.config import MAX_SEED, METHOD_SETTINGS, StudyConfig, parse_study
from study.datasets import DATA_DEFAULTS
from study.errors import UserError

THREE_SIGMA = """
name: small
data: {name: digits}
teachers: [{network: digits-cnn}]
student: {network: digits-fc32}
arms: [{method: noisy_teacher, sigma: [0.1, 0.5, 1.0]}]
seeds: [0]
"""
"""A study file with three arms and one seed."""

Document = dict[str, Any]

_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
_networks = st.sampled_from(["digits-cnn", "digits-fc32", "FC10", "[C3(S1P1)@4-MP2(S2)]-FC10", "resnet8"]) | _text
_spaces = st.sampled_from(["sigma_alpha", "randomized_sigma", "noise_kind", "soft_targets", "student_width"]) | _text
_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
_shares = st.floats(0, 1)
_seeds = st.integers(0, MAX_SEED)
_sigmas = st.floats(0, 100) | st.tuples(st.floats(0, 100), st.floats(0, 100)).map(
    lambda ends: {"uniform": sorted(ends)}
)
_train: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 100_000),
    "batch_size": st.integers(1, 1_000_000),
    "optimizer": st.sampled_from(["adam", "sgd"]),
    "lr": st.floats(0, 100, exclude_min=True),
    "momentum": st.floats(0, 1, exclude_max=True),
    "weight_decay": st.floats(0, 10),
    "schedule": st.sampled_from(["constant", "cosine"]),
    "patience": st.integers(0, 1000),
    "precision": st.sampled_from(["fp32", "bf16"]),
    "target_error": st.floats(0, 1, exclude_max=True),
}


def _without(keys: set[str], document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


def _with_effect(train: Document) -> Document:
    """Momentum is for sgd alone."""
    return train if train.get("optimizer") == "sgd" else _without({"momentum"}, train)


_trains = st.fixed_dictionaries({}, optional=_train).map(_with_effect)
_trained = {"train": _trains, "seed": _seeds}
_simple_teachers = st.fixed_dictionaries({"network": _networks}, optional={"weights": _text, **_trained}).map(
    lambda teacher: _without({"train", "seed"}, teacher) if "weights" in teacher else teacher
)
_assistants = st.fixed_dictionaries(
    {"network": _networks, "teachers": st.lists(_simple_teachers, min_size=1, max_size=2)},
    optional={"sigma": _sigmas, "temperature": st.floats(1, 20), "hard_loss_weight": _shares, **_trained},
)
_teachers = st.lists(_simple_teachers | _assistants, min_size=1, max_size=2)
_datas = st.fixed_dictionaries(
    {"name": st.sampled_from([name for name in DATA_DEFAULTS if name not in ("image_folder", "arrays")])},
    optional={
        "validation": st.integers(1, 5000) | st.floats(0, 1, exclude_min=True, exclude_max=True),
        "fraction": st.floats(0, 1, exclude_min=True),
        "preprocess": st.sampled_from(
            [[], ["subtract_pixel_mean"], ["local_contrast_normalization", "subtract_pixel_mean"]]
        ),
        "augment": st.sampled_from([[], ["mirror"]]),
        "split_seed": _seeds,
    },
) | st.fixed_dictionaries({"name": st.just("image_folder"), "path": _text})
_ranges = st.tuples(st.floats(0.001, 1), st.floats(1.001, 9)).flatmap(
    lambda ends: st.sampled_from([{"uniform": list(ends)}, {"log_uniform": list(ends)}])
)


def search_with_effect(search: Document) -> Document:
    """Each sampler and each scheduler with its own settings only."""
    sampler, scheduler = search.get("sampler", "tpe"), search.get("scheduler", "fifo")
    idle = {"trials"} if sampler == "grid" else {"grid_points"}
    if sampler not in ("tpe", "gp", "cmaes") and scheduler != "median":
        idle.add("startup_trials")
    idle |= {"fifo": {"grace_epochs", "reduction_factor"}, "median": {"reduction_factor"}, "asha": set()}[scheduler]
    return _without(idle, search)


_search = st.fixed_dictionaries(
    {},
    optional={
        "space": _spaces,
        "train": st.fixed_dictionaries(
            {}, optional={"lr": _ranges, "weight_decay": _ranges, "schedule": st.just(["constant", "cosine"])}
        ),
        "sampler": st.sampled_from(["grid", "random", "qmc", "tpe", "gp", "cmaes"]),
        "scheduler": st.sampled_from(["fifo", "asha", "median"]),
        "grid_points": st.integers(1, 20),
        "grace_epochs": st.integers(1, 20),
        "reduction_factor": st.integers(2, 9),
        "trials": st.integers(1, 1000),
        "startup_trials": st.integers(1, 100),
        "seed": _seeds,
        "confirm": st.fixed_dictionaries({}, optional={"top": st.integers(1, 9), "seeds": st.integers(1, 9)}),
    },
).map(search_with_effect)
_resources = st.fixed_dictionaries(
    {},
    optional={
        "workers": st.just("auto") | st.integers(1, 99),
        "cpus_per_trial": st.integers(1, 64),
        "gpus_per_trial": st.one_of(st.floats(0, 1), st.integers(2, 8).map(float)),
    },
)


def _grids(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


@st.composite
def _arms(draw: st.DrawFn, several: bool = True) -> Document:
    grids = _grids if several else (lambda values: values)
    method = draw(st.sampled_from(sorted(METHOD_SETTINGS)))
    values: dict[str, st.SearchStrategy[Any]] = {
        "sigma": _sigmas,
        "alpha": _shares,
        "noise": st.sampled_from(["fresh", "frozen", {"form": "additive"}, {"per": "batch", "schedule": "linear"}]),
        "sigma_unit": st.just("logit_rms"),
        "label_noise": _shares,
        "temperature": st.floats(0, 1000, exclude_min=True),
        "hard_loss_weight": _shares,
    }
    own = {name: grids(values[name]) for name in METHOD_SETTINGS[method]}
    needed = {"sigma": own.pop("sigma")} if method.startswith("noisy") else {}
    if several:
        own["student"] = st.fixed_dictionaries({"network": _grids(_networks)})
    train = {name: grids(value) for name, value in _train.items() if name != "weight_decay"}
    own |= {
        "dropout": grids(st.floats(0, 1, exclude_max=True)),
        "weight_decay": grids(_train["weight_decay"]),
        "train": st.fixed_dictionaries({}, optional=train),
    }
    if method != "labels":
        own["teachers"] = _teachers
    arm: Document = {"method": method, **draw(st.fixed_dictionaries(needed, optional=own))}
    if "sigma" not in arm:
        arm = _without({"alpha", "noise", "sigma_unit"}, arm)
    if "additive" not in str(arm.get("noise")):
        arm = _without({"sigma_unit"}, arm)
    if len(arm.get("teachers", ())) > 1 and draw(st.booleans()):
        arm["combine"] = draw(grids(st.sampled_from(["geometric_mean", "signed_geometric_mean"])))
    optimizer = arm.get("train", {}).get("optimizer", ())
    if "train" in arm and "sgd" not in optimizer:
        arm["train"] = _without({"momentum"}, arm["train"])
    return arm


def _is_valid(document: Document) -> bool:
    """Whether it is a study: a strategy draws 0 and 1 often, and with them other settings may have no effect."""
    try:
        StudyConfig.model_validate(document)
    except ValidationError:
        return False
    return True


studies: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {
        "name": _names,
        "data": _datas,
        "teachers": _teachers,
        "student": st.fixed_dictionaries({"network": _networks}),
        "arms": st.lists(_arms(), min_size=1, max_size=2),
    },
    optional={
        "published": _text,
        "train": _trains,
        "baseline": _arms(several=False),
        "seeds": st.lists(_seeds, min_size=1, max_size=3, unique=True),
        "search": _search,
        "resources": _resources,
    },
).filter(_is_valid)

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(draw: st.DrawFn) -> Document:
    """A study file with anything in any one place."""
    document = deepcopy(draw(studies))  # strategies give the same lists and mappings again
    here: Any = document
    while True:
        place = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        inside = here[place]
        if not inside or not isinstance(inside, dict | list) or draw(st.booleans()):
            break
        here = inside
    if isinstance(here, dict) and draw(st.booleans()):
        place = draw(st.text())
    here[place] = draw(anything)
    return document


_PLAIN, _LINEAR, _NORMALISED = "digits-fc32", "FC10", "C8(S1P0)@4B-FC8-FC10"
_fitting = st.sampled_from(
    [_PLAIN, _PLAIN, "digits-cnn", "[C3(S1P1)@4B-MP2(S2)]-FC8-FC10", _LINEAR, _NORMALISED, "FC16-D0.5-FC10", "resnet8"]
)
_quick: dict[str, st.SearchStrategy[Any]] = {
    "epochs": st.integers(1, 9),
    "batch_size": st.sampled_from([64, 16, 2, 1]),
    "optimizer": st.sampled_from(["adam", "sgd"]),
    "lr": st.floats(0.001, 1),
    "momentum": st.floats(0, 0.9),
    "weight_decay": st.floats(0, 0.1),
}
_quick_trains = st.fixed_dictionaries({}, optional=_quick).map(_with_effect)
_small_teachers = st.lists(
    st.fixed_dictionaries({"network": _fitting}, optional={"train": _quick_trains})
    | st.fixed_dictionaries(
        {
            "network": _fitting,
            "teachers": st.lists(st.fixed_dictionaries({"network": _fitting}), min_size=1, max_size=2),
        },
        optional={"sigma": st.floats(0.1, 1), "temperature": st.floats(1, 20), "train": _quick_trains},
    ),
    min_size=1,
    max_size=2,
)
_small_arms = st.fixed_dictionaries(
    {"method": st.sampled_from(["logit_regression", "soft_targets", "labels"])},
    optional={
        "dropout": st.sampled_from([0, 0.5]),
        "weight_decay": _quick["weight_decay"],
        "train": _quick_trains,
    },
) | st.fixed_dictionaries({"method": st.just("noisy_teacher"), "sigma": _grids(st.floats(0, 2))})
_with_students = st.tuples(
    _small_arms, st.fixed_dictionaries({}, optional={"student": st.fixed_dictionaries({"network": _grids(_fitting)})})
)
_searched_settings: dict[str, st.SearchStrategy[Any]] = {
    "lr": st.just({"log_uniform": [0.001, 0.1]}) | st.just([0.1, "1e-2", 1]),
    "weight_decay": st.just({"uniform": [0, 0.1]}),
    "batch_size": st.sampled_from([[64, 1], {"uniform": [1, 64]}, {"log_uniform": [2, 64]}, [16]]),
    "optimizer": st.just(["adam", "sgd"]),
    "momentum": st.just({"uniform": [0, 0.9]}),
    "target_error": st.just([None, 0.1]),
    "epochs": st.just({"log_uniform": [1, 9]}),
}


def small_studies(spaces: Sequence[str]) -> st.SearchStrategy[Document]:
    """Studies of digits whose networks mostly fit, with searches over these spaces; most can be run, some cannot."""
    search = st.fixed_dictionaries(
        {"space": st.sampled_from(spaces)},
        optional={
            "train": st.fixed_dictionaries({}, optional=_searched_settings),
            "sampler": st.sampled_from(["grid", "random", "tpe"]),
            "objectives": st.just(["val_error", "multiplications"]),
            "grid_points": st.integers(1, 2),
            "confirm": st.fixed_dictionaries({}, optional={"top": st.integers(1, 3), "seeds": st.integers(1, 4)}),
        },
    ).map(search_with_effect)
    own = st.fixed_dictionaries({}, optional={"search": st.just("equal"), "teachers": _small_teachers})
    return st.fixed_dictionaries(
        {
            "name": st.just("small"),
            "data": st.just({"name": "digits"}),
            "teachers": _small_teachers,
            "student": st.fixed_dictionaries({"network": _fitting}),
            "search": search,
        },
        optional={
            "train": _quick_trains,
            "baseline": st.tuples(_small_arms, own).map(lambda parts: parts[0] | parts[1]),
            "arms": st.lists(_with_students.map(lambda parts: parts[0] | parts[1]), max_size=2),
            "seeds": st.just([0, 1]),
        },
    )


GOOD: Document = {
    "name": "mine",
    "data": {"name": "digits"},
    "teachers": [{"network": "digits-cnn"}],
    "student": {"network": "digits-fc32"},
    "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
}
"""A small valid study file."""


def study_file(**changes: Any) -> str:
    """The text of a small valid study file with other values of some keys."""
    return yaml.safe_dump({**GOOD, **changes})


def mistake_in(text: str, *overrides: str) -> str:
    """The message about the mistake in a study file that is named `f`."""
    try:
        parse_study(text, "f", overrides)
    except UserError as error:
        return str(error)
    raise ValueError("this study file has no mistake")
