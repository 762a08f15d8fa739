"""The study file: what is valid survives being written and read, what is not is named in one line."""

import string
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.study_files import Document, anything, changed, studies

from study.config import (
    MAX_SEED,
    ArmConfig,
    BaselineConfig,
    StudyConfig,
    TrainConfig,
    TrialConfig,
    Uniform,
    dump_study,
    nearest,
    parse_study,
)
from study.errors import UserError

# ------------------------------------------------------------------------------------------------- study files at large


def _is_a_config_or_one_line(text: str, *overrides: str) -> StudyConfig | None:
    try:
        config = parse_study(text, "study.yaml", overrides)
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        assert len(message) < 1000
        return None
    assert parse_study(dump_study(config), "dump") == config
    return config


@given(studies)
@settings(max_examples=60, deadline=None)
def test_a_study_that_is_written_and_read_is_the_same_study(document: Document) -> None:
    config = parse_study(yaml.safe_dump(document, allow_unicode=True), "study.yaml")
    assert parse_study(dump_study(config), "dump") == config
    assert dump_study(parse_study(dump_study(config), "dump")) == dump_study(config)
    assert config == StudyConfig.model_validate(document)


@given(st.text() | st.text(alphabet="abc:-[]{}&*!|>?%@#'\",\n\t 01."))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_study_or_a_mistake_in_one_line(text: str) -> None:
    assert _is_a_config_or_one_line(text) is None  # nobody writes a study by chance


@given(anything)
@settings(max_examples=300, deadline=None)
def test_any_document_is_a_study_or_a_mistake_in_one_line(document: Any) -> None:
    _is_a_config_or_one_line(yaml.dump(document))


@given(changed())
@settings(max_examples=150, deadline=None)
def test_any_document_is_a_study_or_one_line(document: Document) -> None:
    """A study file with anything in any place is a study or a mistake in one line."""
    _is_a_config_or_one_line(yaml.dump(document))


@given(st.text(), anything)
@settings(max_examples=100, deadline=None)
def test_any_override_gives_a_study_or_a_mistake_in_one_line(key: str, value: Any) -> None:
    _is_a_config_or_one_line(_file(), f"{key}={yaml.dump(value)}", key)


# ---------------------------------------------------------------------------------------------- mistakes, one by one

_GOOD: Document = {
    "name": "mine",
    "data": {"name": "digits"},
    "teachers": [{"network": "digits-cnn"}],
    "student": {"network": "digits-fc32"},
    "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
}


def _file(**changes: Any) -> str:
    return yaml.safe_dump({**_GOOD, **changes})


def _mistake(text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        parse_study(text, "f", overrides)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sead=1", "f: unknown key `sead`; did you mean `seeds`?"),
        ("train.epoch=1", "f: train: unknown key `epoch`; did you mean `epochs`?"),
        ("arms.0.train.epoch=1", "f: arms.0: train: unknown key `epoch`; did you mean `epochs`?"),
        ("search.zzz=1", "f: search: unknown key `zzz`; known: space, train, sampler, trials, startup_trials, "),
        ("arms.0.sigma=-1", "f: arms.0.sigma: input should be greater than or equal to 0, not -1"),
        ("arms.0.sigma=101", "f: arms.0.sigma: input should be less than or equal to 100, not 101"),
        ("arms.0.sigma=[0.1, -1]", "f: arms.0.sigma.1: input should be greater than or equal to 0, not -1"),
        ("arms.0.sigma=abc", "f: arms.0.sigma: input should be a valid number, unable to parse string as a number, "),
        ("arms.0.sigma=.nan", "f: arms.0.sigma: input should be a finite number, not nan"),
        ("arms.0.sigma=[]", "f: arms.0.sigma: expected at least 1 item, not []"),
        ("arms.0.sigma={uniform: [1, 0.5]}", "f: arms.0.sigma: the low end 1.0 lies above the high end 0.5"),
        ("arms.0.sigma={uniform: [1, 2, 3]}", "f: arms.0.sigma: expected at most 2 items, not [1, 2, 3]"),
        ("arms.0.sigma={unifrom: [0, 1]}", "f: arms.0.sigma: unknown key `unifrom`; did you mean `uniform`?"),
        ("arms.0.alpha=1.2", "f: arms.0.alpha: input should be less than or equal to 1, not 1.2"),
        ("arms.0.method=noisy_techer", "f: arms.0.method: input should be 'logit_regression', 'noisy_teacher', "),
        ("arms.0.method=noisy_student", None),
        (
            "arms.0.method=labels",
            "f: arms.0: `sigma` is not a setting of labels, but of noisy_teacher, noisy_student, ",
        ),
        ("arms.0={method: noisy_teacher}", "f: arms.0: noisy_teacher needs `sigma` (a standard deviation, a list"),
        ("arms.0.train.lr=-1", "f: arms.0: train.lr: input should be greater than 0, not -1"),
        ("arms.0.train.lr=[]", "f: arms.0.train.lr: expected at least 1 item, not []"),
        ("arms=[]", "f: nothing to compare with the baseline: give `arms`, `search` or both"),
        ("arms=3", "f: arms: expected a list, not 3"),
        ("train=3", "f: train: expected a mapping of keys, not 3"),
        ("train.epochs=0", "f: train.epochs: input should be greater than or equal to 1, not 0"),
        (
            "train={epochs: 0, lr: -1}",
            "f: train.epochs: input should be greater than or equal to 1, not 0 (and 1 more)",
        ),
        ("train.epochs=1.5", "f: train.epochs: input should be a valid integer, got a number with a fractional part"),
        ("train.epochs=true", "f: train.epochs: no key takes true (YAML reads yes, no, on, off as booleans)"),
        ("arms.0.sigma=[0.1, on]", "f: arms.0.sigma.1: no key takes true"),
        ("arms.0.train.patience=no", "f: arms.0.train.patience: no key takes false"),
        ('student.network="a\\nb"', "f: student.network: control characters in 'a\\nb'"),
        ('published="\\ud800"', "f: published: control characters in '\\ud800'"),
        ("name=../elsewhere", "f: name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$', not "),
        ("name=..", "f: name: string should match pattern"),
        ("name=a/b", "f: name: string should match pattern"),
        ('name="a\\n"', "f: name: string should match pattern"),
        ("name=", "f: name: input should be a valid string, not None"),
        ("data.name=cifar", "f: data.name: input should be 'digits', 'mnist', 'svhn', 'cifar10', 'cifar100' or 'image"),
        ("data.validation=2.5", "f: data: validation is a count of images or a share below 1, not 2.5"),
        (
            "data.preprocess=[subtract_pixel_mean, local_contrast_normalization]",
            "f: data: preprocess: each step only once, and local_contrast_normalization first, not ['subtract_",
        ),
        (
            "data.preprocess=[subtract_pixel_mean, subtract_pixel_mean]",
            "f: data: preprocess: each step only once, and local_contrast_normalization first, not ",
        ),
        ("data.validation=many", "f: data.validation: input should be a valid integer, unable to parse string as an "),
        (
            "data.path=/tmp",
            "f: data: `path` (a folder or tar file with train/CLASS and test/CLASS): digits does not take it",
        ),
        ("data={name: image_folder}", "f: data: `path` (a folder or tar file with train/CLASS and test/CLASS): image"),
        ("teachers=[]", "f: teachers: expected at least 1 item, not []"),
        ("seeds=[1, 1]", "f: seeds: each seed only once, not [1, 1]"),
        ("seeds=[-1]", "f: seeds.0: input should be greater than or equal to 0, not -1"),
        ("resources.workers=0", "f: resources: workers is auto or at least 1, not 0"),
        (
            "resources.workers=few",
            "f: resources.workers: input should be a valid integer, unable to parse string as an ",
        ),
        ("baseline={method: noisy_teacher, sigma: [0.1, 0.2]}", "f: baseline: one setting for every student"),
        ("baseline={method: labels, student: {network: fc800}}", "f: baseline: one setting for every student"),
        # the search
        (
            "search.train={lr: {log_uniform: [0.1, 0.01]}}",
            "f: search.train.lr: the low end 0.1 does not lie below the h",
        ),
        (
            "search.train={lr: {log_uniform: [0, 0.01]}}",
            "f: search.train.lr: log_uniform: the low end 0 is not above 0",
        ),
        (
            "search.train={lr: {}}",
            "f: search.train.lr: a range is `uniform: [low, high]` or `log_uniform: [low, high]`",
        ),
        ("search.train={lrr: [1]}", "f: search: train: unknown key `lrr`; did you mean `lr`?"),
        ("search.train={lr: [0]}", "f: search: train.lr: input should be greater than 0, not 0"),
        ("search.train={epochs: {uniform: [1.5, 3]}}", "f: search: train.epochs: input should be a valid integer"),
        (
            "search.objectives=[multiplications]",
            "f: search: objectives: val_error, or val_error and multiplications, not ",
        ),
        (
            "search={objectives: [val_error, multiplications], scheduler: asha}",
            "f: search: scheduler: asha stops trials by one objective; with two it is fifo",
        ),
        (
            "search={objectives: [val_error, multiplications], sampler: cmaes}",
            "f: search: sampler: cmaes has one objective",
        ),
        ("search.scheduler=hyperband", "f: search.scheduler: input should be 'fifo', 'asha' or 'median', not 'hyper"),
        (
            "baseline={method: logit_regression, search: equal}",
            "f: baseline.search: equal needs `search.train`, the settings that both are searched over",
        ),
        # --set itself
        ("train.epochs", "--set train.epochs: expected key=value, for instance train.epochs=2"),
        ("=2", "--set =2: expected key=value"),
        ("arms.1.sigma=2", "--set arms.1.sigma=2: `1` is not a position in a list of 1 (0 is the first)"),
        ("arms.first.sigma=2", "--set arms.first.sigma=2: `first` is not a position in a list of 1 (0 is the first)"),
        ("name.first=2", "--set name.first=2: name is text and has no `first`"),
        ("train.epochs=[", "--set train.epochs=[: not valid YAML at line 1, column 2: expected the node content"),
        ("a\nb.c", "--set a b.c: expected key=value"),
    ],
)
def test_mistake_is_named_with_key_value_and_choices(override: str, message: str | None) -> None:
    """A mistake is named with its key, its value and what is allowed."""
    if message is None:
        parse_study(_file(), "f", [override])
    else:
        said = _mistake(_file(), override)
        assert said.startswith(message)
        assert ("more)" in said) == ("more)" in message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: a study file is a mapping of keys (name, data, teachers, ...), not empty"),
        ("- a\n- b", "f: a study file is a mapping of keys (name, data, teachers, ...), not a list"),
        ("quickstart", "f: a study file is a mapping of keys (name, data, teachers, ...), not text"),
        (
            "0x" + "f" * 5000,
            "f: a study file is a mapping of keys (name, data, teachers, ...), not a number of thousands",
        ),
        ("a: [", "f: not valid YAML at line 1, column 5: "),
        ("a: 2001-14-14", "f: not valid YAML: month must be in 1..12"),
        (
            "!!python/object/apply:os.getcwd []",
            "f: not valid YAML at line 1, column 1: could not determine a construct",
        ),
        ("a: " + "[" * 5000, "f: not valid YAML: "),
        ("#" * 100_001, "f: longer than 100000 characters; is it a study file?"),
        ("{}", "f: name: Field required (and 3 more)"),
        ("1: 2", "f: unknown key `1`; known: name, "),
        ('"\\ud800": 2', "f: unknown key `\\ud800`; known: name, "),
        ("name: 0x" + "f" * 5000, "f: name: input should be a valid string, not a number of thousands of digits"),
        ("&a {name: *a}", "f: name: input should be a valid string, not {'name': "),
    ],
)
def test_what_is_no_study_file_is_refused_in_one_line(text: str, message: str) -> None:
    said = _mistake(text)
    assert said.startswith(message)
    assert "\n" not in said


def test_exploding_document_is_refused_at_once() -> None:
    """A document that grows without end when it is written out is refused at once."""
    laughs = "".join(f", &x{i} [*x{i - 1}, *x{i - 1}]" for i in range(1, 64))
    said = _mistake(_file() + f"published: [&x0 [ha]{laughs}]")
    assert said.startswith("f: published: input should be a valid string, not [['ha'], ")


def test_exploding_merges_are_refused_at_once() -> None:
    """Mappings that grow without end when they are merged are refused at once."""
    laughs = "".join(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}]}}\n" for i in range(1, 30))
    said = _mistake(f"b0: &b0 {{a: 1, b: 2}}\n{laughs}")
    assert said == "f: not valid YAML at line 4, column 5: at most 100 mappings are merged, to at most 1000 keys"
    assert "at most 100 mappings" in _mistake(f"a: &a {{b: 1}}\nc: {{<<: [{'*a, ' * 101}]}}")


def test_mappings_may_be_merged() -> None:
    text = _file().replace("name: mine", "name: mine\ntrain: {<<: {epochs: 2, lr: 0.1}, epochs: 3}")
    assert parse_study(text, "f").train == TrainConfig(epochs=3, lr=0.1)


def test_a_teacher_that_is_its_own_teacher_is_refused() -> None:
    said = _mistake(_file().replace("- network: digits-cnn", "- &t {network: digits-cnn, teachers: [*t]}"))
    assert said.startswith("f: teachers.0.teachers.0.")


def test_endlessly_shared_teachers_are_refused() -> None:
    """Teachers that share teachers without end are refused at once."""
    laughs = "".join(f",\n  &t{i} {{network: a, teachers: [*t{i - 1}, *t{i - 1}]}}" for i in range(1, 60))
    assert "at most 100" in _mistake(_file().replace("- network: digits-cnn", f"  [&t0 {{network: a}}{laughs}]"))


def test_too_many_trainings_are_refused_before_any_is_made() -> None:
    many = list(range(1, 101))
    arm = {"method": "noisy_teacher", "sigma": many, "train": {"epochs": many, "batch_size": many}}
    assert _mistake(_file(arms=[arm])).startswith("f: arms: 3000000 trainings (points times seeds); at most 200000")


# ------------------------------------------------------------------------------------------------------- what is meant


def test_overrides_are_applied_in_order() -> None:
    """Overrides make the mappings that are missing on their way."""
    overrides = ["train.epochs=2", "search.confirm.top=3", "arms.0.sigma=[0.3, 0.8]", "train.epochs=4", "seeds=[7]"]
    config = parse_study(_file(), "f", overrides, name="yours")
    assert config.name == "yours"
    assert config.train.epochs == 4
    assert config.search is not None
    assert config.search.confirm.top == 3
    assert config.arms[0].sigma == (0.3, 0.8)
    assert config.seeds == (7,)


def test_an_override_may_take_a_value_away() -> None:
    assert parse_study(_file(search={"trials": 3}), "f", ["search="]).search is None


def test_one_value_is_a_grid_of_one() -> None:
    arm = ArmConfig.model_validate({"method": "noisy_teacher", "sigma": 0.5, "alpha": [0.1, 0.2]})
    assert (arm.sigma, arm.alpha) == ((0.5,), (0.1, 0.2))
    assert arm.size == 2
    assert arm.model_dump(exclude_none=True) == {"method": "noisy_teacher", "sigma": 0.5, "alpha": (0.1, 0.2)}


def test_the_size_of_an_arm_counts_every_dimension_of_its_grid() -> None:
    arm: Document = {"method": "soft_targets", "sigma": [0.1, {"uniform": [0, 1]}], "temperature": [1, 2, 3]}
    arm |= {"student": {"network": ["a", "b"]}, "train": {"lr": [0.1, 0.2], "epochs": 3}}
    assert ArmConfig.model_validate(arm).size == 2 * 3 * 2 * 2


def test_small_numbers_in_yaml_are_numbers() -> None:
    """YAML reads small numbers as text, and they are numbers all the same."""
    config = parse_study(_file() + "\ntrain: {lr: 1e-4, weight_decay: 1e-5}\n", "f")
    assert (config.train.lr, config.train.weight_decay) == (1e-4, 1e-5)


def test_defaults_are_the_published_protocol() -> None:
    config = parse_study(_file(data={"name": "cifar10"}), "f")
    assert (config.train.optimizer, config.train.batch_size, config.train.lr) == ("adam", 64, 1e-3)
    assert (config.train.schedule, config.train.precision) == ("constant", "fp32")
    assert (config.data.validation, config.data.preprocess) == (5000, ("subtract_pixel_mean",))
    assert config.data.mirror
    assert config.baseline == BaselineConfig(method="logit_regression")


def test_file_wins_over_dataset_defaults() -> None:
    """What a file says of its data wins over the dataset's defaults."""
    config = parse_study(_file(data={"name": "cifar10", "augment": [], "validation": 0.2}), "f")
    assert (config.data.validation, config.data.mirror) == (0.2, False)


def test_search_seed_is_not_a_study_seed_by_default() -> None:
    """The search never trains with a seed of the study unless the file says so."""
    assert parse_study(_file(seeds=[3, 9, 4], search={}), "f").search_seed == 10
    assert parse_study(_file(seeds=[3, 9, 4], search={"seed": 4}), "f").search_seed == 4
    assert parse_study(_file(seeds=[MAX_SEED, 0, 1], search={}), "f").search_seed == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "logit_regression", "sigma": 0.5, "alpha": 0.5},
        {"method": "labels", "sigma": Uniform(uniform=(0, 1))},
        {"method": "soft_targets"},
        {"method": "noisy_teacher", "sigma": 0.5, "temperature": 2.0},
    ],
)
def test_a_training_has_the_settings_of_its_method_and_no_others(settings: Document) -> None:
    with pytest.raises(ValidationError, match=settings["method"]):
        TrialConfig.model_validate({"stage": "grid", "role": "arm", "network": "a", "train": {}, "seed": 0, **settings})


def test_only_search_trials_never_see_the_test_set() -> None:
    common = {"role": "arm", "network": "a", "method": "logit_regression", "train": TrainConfig(), "seed": 0}
    stages = ("teacher", "grid", "search", "confirm")
    seen = {stage: TrialConfig.model_validate({**common, "stage": stage}).sees_test_set for stage in stages}
    assert seen == {"teacher": True, "grid": True, "search": False, "confirm": True}


def _with_searched_baseline(**changes: object) -> Document:
    """A study whose arms and whose baseline are both searched over the learning rate."""
    search = {"train": {"lr": [0.1, 0.2]}}
    text = _file(search=search, baseline={"method": "logit_regression", "search": "equal"}, arms=[])
    return {**yaml.safe_load(text), **changes}


def test_a_baseline_may_be_searched_with_the_budget_of_the_arms() -> None:
    config = StudyConfig.model_validate(_with_searched_baseline())
    assert config.baseline.search == "equal"
    assert parse_study(dump_study(config), "again") == config


def test_searched_baseline_refuses_conflicts() -> None:
    """A searched baseline allows no unsearched arm, no grid sampler and no setting that is given twice."""
    arms = _with_searched_baseline(arms=[{"method": "labels"}])
    with pytest.raises(ValidationError, match="put the arms into a study of their own"):
        StudyConfig.model_validate(arms)
    grid = {"train": {"lr": [0.1, 0.2]}, "sampler": "grid"}
    with pytest.raises(ValidationError, match="not possible with the sampler grid"):
        StudyConfig.model_validate(_with_searched_baseline(search=grid))
    baseline = {"method": "logit_regression", "search": "equal", "train": {"lr": 0.1}}
    with pytest.raises(ValidationError, match="lr is searched, so it cannot be given as well"):
        StudyConfig.model_validate(_with_searched_baseline(baseline=baseline))


def test_nearest_word_is_suggested() -> None:
    """The nearest known word is suggested; if there is none, all are listed."""
    assert nearest("epoch", ["epochs", "lr"]) == "; did you mean `epochs`?"
    assert nearest("zzz", ["epochs", "lr"]) == "; known: epochs, lr"
    assert nearest(string.ascii_letters * 10_000, ["epochs"]) == "; known: epochs"


# --------------------------------------------------------------------------------------------- settings without effect

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
    said = _mistake(_file(**changes))
    assert said.startswith(f"f: {key}: has no effect {why}")
    assert said.endswith("; leave it out")


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
def test_a_setting_that_may_have_an_effect_may_be_given(changes: Document) -> None:
    config = parse_study(_file(**changes), "f")
    assert parse_study(dump_study(config), "again") == config


def test_a_printed_study_leaves_out_what_has_no_effect() -> None:
    printed = yaml.safe_load(dump_study(parse_study(_file(teachers=[_GIVEN], search=_SEARCH), "f")))
    assert printed["teachers"] == [_GIVEN]
    assert "momentum" not in printed["train"]
    assert printed["train"]["lr"] == 1e-3
    assert {"grid_points", "grace_epochs", "reduction_factor"}.isdisjoint(printed["search"])
    assert {"trials", "startup_trials"} <= printed["search"].keys()


@given(studies)
@settings(max_examples=20, deadline=None)
def test_whatever_has_no_effect_is_neither_printed_nor_taken(document: Document) -> None:
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
            assert "has no effect" in _mistake(yaml.safe_dump(printed))


@pytest.mark.parametrize(
    "baseline", [{"weight_decay": 0.001}, {"train": {"weight_decay": 0.001}}], ids=["its own key", "in train"]
)
def test_a_baselines_weight_decay_cannot_be_given_and_searched(baseline: Document) -> None:
    search = {"train": {"weight_decay": {"log_uniform": [0.0001, 0.01]}}}
    file = _file(arms=[], search=search, baseline={"method": "logit_regression", "search": "equal", **baseline})
    assert "weight_decay is searched, so it cannot be given as well" in _mistake(file)
