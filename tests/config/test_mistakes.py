"""Each mistake in a study file is one line with its key, its value and what is allowed."""

import string

import pytest
from support.study_files import mistake_in, study_file

from study.config import (
    nearest,
    parse_study,
)


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
        ("data.name=cifar", "f: data.name: input should be 'digits', 'mnist', 'fashion_mnist', 'kmnist', "),
        ("data.validation=2.5", "f: data: validation: expected a whole number of images, or a share below 1, not 2.5"),
        (
            "data.preprocess=[subtract_pixel_mean, local_contrast_normalization]",
            "f: data: preprocess: expected each step once, and local_contrast_normalization first; got ['subtract_",
        ),
        (
            "data.preprocess=[subtract_pixel_mean, subtract_pixel_mean]",
            "f: data: preprocess: expected each step once, and local_contrast_normalization first; got ",
        ),
        ("data.validation=many", "f: data.validation: input should be a valid integer, unable to parse string as an "),
        (
            "data.path=/tmp",
            "f: data: `path` (a folder or tar file with train/CLASS and test/CLASS or an .npz or Parquet file, or a",
        ),
        (
            'data.background="#ffffff"',
            "f: data: `background` is for image_folder and arrays: digits has no transparent pixels",
        ),
        ("data.nested=first", "f: data: `nested` is for image_folder: digits has no folders"),
        ("data.size=32", "f: data: `size` is for image_folder and arrays: all images of digits have the same size"),
        ("data={name: image_folder, path: a, size: 0}", "f: data.size: "),
        ("data={name: image_folder, path: a, size: [8, 8, 3]}", "f: data.size: "),
        (
            "data={name: image_folder, path: a, background: white}",
            "f: data.background: string should match pattern '^#[0-9a-fA-F]{6}$', not 'white'",
        ),
        ("data={name: image_folder}", "f: data: `path` (a folder or tar file with train/CLASS and test/CLASS): image"),
        ("teachers=[]", "f: teachers: expected at least 1 item, not []"),
        ("seeds=[1, 1]", "f: seeds: expected each seed once, not [1, 1]"),
        ("seeds=[-1]", "f: seeds.0: input should be greater than or equal to 0, not -1"),
        ("resources.workers=0", "f: resources: workers is auto or at least 1, not 0"),
        (
            "resources.workers=few",
            "f: resources.workers: input should be a valid integer, unable to parse string as an ",
        ),
        (
            "baseline={method: noisy_teacher, sigma: [0.1, 0.2]}",
            "f: baseline: it has the same settings for every student",
        ),
        (
            "baseline={method: labels, student: {network: fc800}}",
            "f: baseline: it has the same settings for every student",
        ),
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
            "f: search: objectives: expected val_error, or val_error and multiplications, not ",
        ),
        (
            "search={objectives: [val_error, multiplications], scheduler: asha}",
            "f: search: scheduler: asha needs a single objective; use fifo with two",
        ),
        (
            "search={objectives: [val_error, multiplications], sampler: cmaes}",
            "f: search: sampler: cmaes needs a single objective",
        ),
        ("search.scheduler=hyperband", "f: search.scheduler: input should be 'fifo', 'asha' or 'median', not 'hyper"),
        (
            "baseline={method: logit_regression, search: equal}",
            "f: baseline.search: equal needs `search.train`, the settings to search for both",
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
def test_a_mistake_is_one_line_with_key_value_and_choices(override: str, message: str | None) -> None:
    """A mistake is named with its key, its value and what is allowed."""
    if message is None:
        parse_study(study_file(), "f", [override])
    else:
        said = mistake_in(study_file(), override)
        assert said.startswith(message)
        assert "\n" not in said


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
        ("1: 2", "f: unknown key `1`; known: name, "),
        ('"\\ud800": 2', "f: unknown key `\\ud800`; known: name, "),
        ("name: 0x" + "f" * 5000, "f: name: input should be a valid string, not a number of thousands of digits"),
        ("&a {name: *a}", "f: name: input should be a valid string, not {'name': "),
    ],
)
def test_other_documents_are_refused(text: str, message: str) -> None:
    """The first line names this mistake. Keys that are missing have lines of their own."""
    assert mistake_in(text).startswith(message)


def test_exploding_document_is_refused_at_once() -> None:
    """A document that grows without end when it is written out is refused at once."""
    laughs = "".join(f", &x{i} [*x{i - 1}, *x{i - 1}]" for i in range(1, 64))
    said = mistake_in(study_file() + f"published: [&x0 [ha]{laughs}]")
    assert said.startswith("f: published: input should be a valid string, not [['ha'], ")


def test_exploding_merges_are_refused_at_once() -> None:
    """Mappings that grow without end when they are merged are refused at once."""
    laughs = "".join(f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}]}}\n" for i in range(1, 30))
    said = mistake_in(f"b0: &b0 {{a: 1, b: 2}}\n{laughs}")
    assert said == "f: not valid YAML at line 4, column 5: at most 100 mappings are merged, to at most 1000 keys"
    assert "at most 100 mappings" in mistake_in(f"a: &a {{b: 1}}\nc: {{<<: [{'*a, ' * 101}]}}")


def test_a_teacher_that_is_its_own_teacher_is_refused() -> None:
    said = mistake_in(study_file().replace("- network: digits-cnn", "- &t {network: digits-cnn, teachers: [*t]}"))
    assert said.startswith("f: teachers.0.teachers.0.")


def test_endlessly_shared_teachers_are_refused() -> None:
    """Teachers that share teachers without end are refused at once."""
    laughs = "".join(f",\n  &t{i} {{network: a, teachers: [*t{i - 1}, *t{i - 1}]}}" for i in range(1, 60))
    assert "at most 100" in mistake_in(study_file().replace("- network: digits-cnn", f"  [&t0 {{network: a}}{laughs}]"))


def test_too_many_trainings_are_refused() -> None:
    many = list(range(1, 101))
    arm = {"method": "noisy_teacher", "sigma": many, "train": {"epochs": many, "batch_size": many}}
    assert mistake_in(study_file(arms=[arm])).startswith(
        "f: arms: 3000000 trainings (points times seeds); expected at most 200000"
    )


def test_nearest_word_is_suggested() -> None:
    """The nearest known word is suggested; if there is none, all are listed."""
    assert nearest("epoch", ["epochs", "lr"]) == "; did you mean `epochs`?"
    assert nearest("zzz", ["epochs", "lr"]) == "; known: epochs, lr"
    assert nearest(string.ascii_letters * 10_000, ["epochs"]) == "; known: epochs"


def test_all_mistakes_are_named_at_once() -> None:
    said = mistake_in(study_file(), "train={epochs: 0, lr: -1, epoch: 3}", "sead=1", "arms.0.alpha=15%")
    assert said.splitlines() == [
        "f: unknown key `sead`; did you mean `seeds`?",
        "f: train: unknown key `epoch`; did you mean `epochs`?",
        "f: train.epochs: input should be greater than or equal to 1, not 0",
        "f: train.lr: input should be greater than 0, not -1",
        "f: arms.0.alpha: input should be a valid number, unable to parse string as a number, not '15%'; write 0.15",
    ]


def test_missing_keys_are_named_each() -> None:
    lines = mistake_in("{}").splitlines()
    assert lines == [f"f: {key}: Field required" for key in ("name", "data", "teachers", "student")]


def test_a_misspelled_key_is_not_called_missing_too() -> None:
    text = study_file().replace("teachers:", "teacher:")
    assert mistake_in(text) == "f: unknown key `teacher`; did you mean `teachers`?"


def test_a_long_list_of_mistakes_is_cut() -> None:
    lines = mistake_in(study_file(), f"seeds={[-1] * 50}").splitlines()
    assert len(lines) == 21
    assert lines[-1] == "f: and 30 more"


@pytest.mark.parametrize(("override", "written"), [("arms.0.alpha=2.5 %", "0.025"), ("smallest_effect=5%", "5")])
def test_a_percentage_is_answered_with_the_number(override: str, written: str) -> None:
    assert mistake_in(study_file(), override).endswith(f"; write {written}")
