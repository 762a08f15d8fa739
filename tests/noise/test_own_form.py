"""A form of noise of the user, by the example of CONTRIBUTING.md: checks, keys, copies, draws and a training."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.noise import draw_factors
from support.own_process import try_here

from models import own_process
from models.own_code import copies_in
from study.config import StudyConfig, TrialConfig, dump_study, parse_study
from study.data.dataset import DatasetFacts
from study.data.tensors import ImageTensors
from study.distill.streams import Streams
from study.distill.trainer import DistillationTrainer, TrainingData
from study.errors import UserError
from study.noise.settings import Noise
from study.planning import plan
from study.planning.check import check_study
from study.planning.keys import training_key
from study.results.noise import noise_of
from study.running.started import code_digests, keep_code
from study.storage import StudyFolder
from study.tracking.names import Cost, run_params

FORM = "log_normal.py:LogNormal"
FACTS = DatasetFacts((1, 8, 8), 10)
BROKEN = """

class Form(LogNormal):
    {}
"""


@pytest.fixture
def here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the example of CONTRIBUTING.md. Code is tried in this process, which needs no start."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(r"^<!-- example: noise -->\n```python\n(.*?)^```", text, flags=re.M | re.S)
    assert found is not None
    (workspace / "log_normal.py").write_text(found[1], encoding="utf-8")
    try_here(monkeypatch)
    return workspace


def _study(form: str = FORM, **noise: Any) -> StudyConfig:
    document = {
        "name": "s",
        "data": {"name": "digits"},
        "teachers": [{"network": "FC8-FC10"}],
        "student": {"network": "FC8-FC10"},
        "train": {"epochs": 1},
        "arms": [{"method": "noisy_teacher", "sigma": [0, 0.5], "noise": {"form": form, **noise}}],
        "seeds": [0],
    }
    return parse_study(yaml.safe_dump(document), "f")


def _arm(config: StudyConfig) -> TrialConfig:
    *_, trial = plan.grid_trials(config)
    return trial


def _refusal(form: str) -> str:
    with pytest.raises(UserError) as refused:
        check_study(_study(form), FACTS)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_study_has_it_as_any_other_form(here: Path) -> None:
    config = _study(per=["sample", "batch"])
    check_study(config, FACTS)
    assert parse_study(dump_study(config), "again") == config
    assert plan.own_code(config) == [FORM]
    assert [trial.noise.per for trial in plan.grid_trials(config) if trial.role == "arm"] == ["sample", "batch"]


def test_without_noise_it_is_the_baseline(here: Path) -> None:
    trials = plan.grid_trials(_study())
    assert [(trial.role, trial.sigma) for trial in trials] == [("baseline", 0.0), ("arm", 0.5)]


def test_its_code_counts_in_keys(here: Path) -> None:
    trial = _arm(_study())
    keys = {training_key(trial, digests) for digests in ({}, {FORM: "1"}, {FORM: "2"})}
    assert len(keys) == 3
    assert training_key(trial) != training_key(trial.model_copy(update={"noise": Noise()}))


def test_a_study_uses_the_copy_of_its_form(here: Path) -> None:
    config, folder = _study(), StudyFolder(here, "s")
    keep_code(config, folder)
    (here / "log_normal.py").write_text("raise RuntimeError('edited')\n", encoding="utf-8")
    with copies_in(folder.code):
        assert code_digests(config).keys() == {FORM}
        assert _arm(parse_study(dump_study(config), "again")).has_noise
    assert "log_normal.py cannot be imported: RuntimeError: edited (log_normal.py, line 1)" in _refusal(FORM)


def test_a_table_is_read_without_its_code(here: Path) -> None:
    params = {name: str(value) for name, value in run_params(_arm(_study()), "digits", Cost(1, 1), None).items()}
    (here / "log_normal.py").unlink()
    label, noise = noise_of(params)
    assert label == FORM
    assert noise is not None
    assert noise.form == FORM


def test_its_draws_are_those_of_every_form(here: Path) -> None:
    """They differ from those of our forms only by what it makes of ξ."""
    ours, own = (
        draw_factors(64, 5, 0.7, 0.5, Streams.of(1), Noise.model_validate({"form": form}))
        for form in ("additive", FORM)
    )
    assert torch.equal(own, torch.where(ours == 0, 1.0, ours.exp()))


@pytest.mark.parametrize("per", ["sample", "image"])
def test_it_may_give_xi_another_distribution(here: Path, per: str) -> None:
    """The draws stay, and σ is multiplied afterwards."""
    code = "class Signs(LogNormal):\n    shaped = staticmethod(lambda normal: normal.sign())\n"
    with (here / "log_normal.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{code}")
    ours, own = (
        draw_factors(64, 5, 0.7, 0.5, Streams.of(1), Noise.model_validate({"form": form, "per": per}))
        for form in ("additive", "log_normal.py:Signs")
    )
    assert torch.equal(own, torch.where(ours == 0, 1.0, (0.7 * ours.sign()).exp()))


def test_it_is_found_beside_the_study_file(here: Path) -> None:
    (here / "studies").mkdir()
    (here / "log_normal.py").rename(here / "studies/log_normal.py")
    text = "{name: s, data: {name: digits}, teachers: [{network: FC8-FC10}], student: {network: FC8-FC10}, seeds: [0], "
    text += f'arms: [{{method: noisy_teacher, sigma: 0.5, noise: {{form: "{FORM}"}}}}]}}'
    config = parse_study(text, "f", folder=here / "studies")
    assert plan.own_code(config) == [f"studies/{FORM}"]


def test_a_student_is_trained_with_it(here: Path) -> None:
    """It learns as by logit regression from the logits exp(ξ)·z. One mini-batch is the whole epoch."""
    trial = _arm(_study()).model_copy(update={"network": "FC4-FC3", "alpha": 1.0})
    images, target, streams = ImageTensors(torch.rand(8, 1, 2, 2), torch.arange(8) % 3), torch.rand(8, 3), Streams.of(0)
    xi = 0.5 * torch.randn(8, 3, generator=streams.noise)
    noisy = target.clone()
    order = torch.randperm(8, generator=streams.order)
    noisy[order] = xi.exp() * target[order]
    plain = trial.model_copy(update={"method": "logit_regression", "sigma": 0.0, "alpha": 0.0, "noise": Noise()})
    losses = [
        DistillationTrainer(each, TrainingData(images, images, (1, 2, 2), 3), logits).run_epoch().train_loss
        for each, logits in ((trial, target), (plain, noisy), (plain, target))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("unselected = None", "log_normal.py:Form has no `unselected`; expected the number for samples that"),
        (
            "shaped = staticmethod(lambda normal: normal.sum())",
            "`shaped` of log_normal.py:Form gives a tensor () of torch.float32",
        ),
        (
            "shaped = staticmethod(lambda normal: normal.bernoulli(0.5))",
            "gives two results for the same draws; expected a function of them",
        ),
        (
            "shaped = staticmethod(lambda normal: (1 - __import__('torch').special.ndtr(normal)).log())",
            "`shaped` of log_normal.py:Form gives values that are not finite, for draws up to ±5.5",
        ),
        (
            "drawn = staticmethod(lambda xi: xi.sum())",
            "`drawn` of log_normal.py:Form gives a tensor () of torch.float32",
        ),
        (
            "drawn = staticmethod(lambda xi: 1 + xi.bernoulli(0.5))",
            "gives two results for the same ξ; it must not draw r",
        ),
        (
            "applied = staticmethod(lambda logits, drawn: logits[:1])",
            "`applied` of log_normal.py:Form gives a tensor (1,",
        ),
        (
            "applied = staticmethod(lambda logits, drawn: logits / 0)",
            "gives values that are not finite, for ordinary log",
        ),
        (
            "applied = staticmethod(lambda logits, drawn: drawn)",
            "gives values without a gradient; expected values of",
        ),
        (
            "applied = staticmethod(lambda logits, drawn: logits + drawn)",
            "changes logits where there is no noise (ξ = 0",
        ),
        (
            "drawn = staticmethod(lambda xi: xi @ xi)",
            "log_normal.py:Form: RuntimeError: mat1 and mat2 shapes cannot be",
        ),
    ],
)
def test_what_is_no_noise_is_one_line(here: Path, line: str, says: str) -> None:
    with (here / "log_normal.py").open("a", encoding="utf-8") as file:
        file.write(BROKEN.format(line))
    assert says in _refusal("log_normal.py:Form")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("log_normal.py:Absent", "log_normal.py has no `Absent`"),
        ("absent.py:Form", "absent.py: no such file beside the study file or in the working folder"),
        ("log_normal.py:TYPE_CHECKING", "log_normal.py:TYPE_CHECKING is not a form of noise; expected a subclass of"),
        ("log_normal.py:Form", "log_normal.py:Form has no `applied`; expected static methods `drawn` and `applied`"),
        (
            "log_normal",
            "arms.0.noise.form: input should be 'multiplicative', 'additive' or 'scaled', not 'log_normal'",
        ),
    ],
)
def test_a_mistake_in_a_study_file_is_one_line(here: Path, form: str, says: str) -> None:
    assert says in _refusal(form)


def test_a_form_that_hangs_is_ended(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried in a process of its own, with a time limit."""
    monkeypatch.setattr(own_process, "SECONDS", 1)
    code = "from study.noise.additive import Additive\n\n\nclass Hangs(Additive):\n    @staticmethod\n"
    (workspace / "mine.py").write_text(
        code + "    def drawn(xi):\n        while True:\n            pass\n", encoding="utf-8"
    )
    assert "mine.py:Hangs takes more than 1 s for four samples; does it hang?" in _refusal("mine.py:Hangs")
