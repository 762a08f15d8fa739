"""Mistakes on the command line: one line on standard error, status 2, nothing left behind."""

import json
import socket
import sys
import tarfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from models import zoo
from models.notation import NotationError
from models.zoo import names
from search_spaces.library import recipe_names
from study.config import dump_study, parse_study
from study.lookup import study_of
from study.storage import DEFAULT_ROOT, StartRecord, StudyFolder
from study.terminal.cli import COMMANDS, main

Command = Callable[..., tuple[int, str, str]]

NOBODY = "http://127.0.0.1:9"
"""Nothing listens on the port of `discard`."""


@pytest.fixture
def command(workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `noisy-study` with these words; returns status, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["noisy-study", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def refused(command: Command, workspace: Path) -> Callable[..., str]:
    """Runs a command that must be refused, and returns its one line."""

    def call(*words: str) -> str:
        before = sorted(workspace.rglob("*"))
        status, out, err = command(*words)
        assert status == 2, err
        assert out == ""
        assert err.count("\n") == 1, err
        assert sorted(workspace.rglob("*")) == before
        return err.strip()

    return call


@pytest.fixture
def pictures(workspace: Path) -> Path:
    """A small folder of images in two classes."""
    folder = workspace / "pictures"
    for part, count in (("train", 8), ("test", 3)):
        for label, name in enumerate(("cat", "dog")):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                colour = (label * 200, index * 20, 30)
                Image.new("RGB", (8, 8), colour).save(folder / part / name / f"{index}.png")
    return folder


def folder_study(workspace: Path, path: Path) -> str:
    file = workspace / "mine.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "name": "mine",
                "data": {"name": "image_folder", "path": str(path)},
                "teachers": [{"network": "FC4-FC2", "train": {"epochs": 1}}],
                "student": {"network": "FC2"},
                "train": {"epochs": 1},
                "arms": [{"method": "noisy_teacher", "sigma": 0.5}],
            }
        )
    )
    return str(file)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "quickstrt"], "did you mean `quickstart`?"),
        (["run", "quickstart", "--set", "train.epochz=3"], "train: unknown key `epochz`; did you mean `epochs`?"),
        (["run", "quickstart", "--set", "arms.0.sigma=-1"], "arms.0.sigma"),
        (["run", "quickstart", "--set", "arms.0.alpha=1.5"], "arms.0.alpha"),
        (["run", "quickstart", "--set", "arms.0.method=wishful"], "arms.0.method"),
        (["run", "quickstart", "--set", "arms.0.sgima=1"], "unknown key `sgima`; did you mean `sigma`?"),
        (["run", "quickstart", "--set", "student.network=[C3(S1P0)@4-MP9(S1)]-FC10"], "MP9(S1)"),
        (["run", "quickstart", "--set", "student.network=FC32-FC7"], "7"),
        (["run", "quickstart", "--set", "student.network=resnet31"], "did you mean 'resnet32'?"),
        (["run", "quickstart", "--set", "search.space=sigma_alfa"], "did you mean `sigma_alpha`?"),
        (["run", "quickstart", "--set", "published=table-9"], "table-9"),
        (["run", "quickstart", "--name", "../outside"], "name"),
        (["run", "quickstart", "--set", "nonsense"], "expected key=value"),
        (["run"], "give a recipe, a study file, or --from-run RUN_ID"),
        (["run", "absent.yaml"], "cannot read the study file absent.yaml"),
        (
            ["validate", "quickstart", "--set", "teachers.0={network: digits-cnn, weights: absent.safetensors}"],
            "no such file",
        ),
        (["resume", "nothing"], "no study named nothing"),
        (["table", "nothing"], "mlflow.db"),
        (["status"], "noisy-study run quickstart"),
        (["net", "C5(S1P2"], "character"),
        (["net", "FC10"], "input"),
        (["cp", "quickstrat", "x.yaml"], "did you mean `quickstart`?"),
        (["frobnicate"], "frobnicate"),
        (["run", "quickstart", "--sett", "a=1"], "--sett"),
        (
            ["ui", "--host", "0.0.0.0"],
            "--host 0.0.0.0: everyone who reaches this address could change every run; add --auth",
        ),
        (["ui", "--host", "::"], "--host ::"),
        (["ui", "--host", "build-7.example"], "--host build-7.example"),
        (["ui", "--host", "0.0.0.0", "--auth"], "set MLFLOW_AUTH_ADMIN_PASSWORD to 12 characters or more"),
        (["net", "FC10", "--input", "²x1x1"], "expected channels x height x width"),
        (["net", "FC10", "--input", f"{'9' * 5000}x1x1"], "expected channels x height x width"),
        (["run", "a" * 5000], "no recipe named aaa"),
        (["cp", "quickstart", "a" * 300], "File name too long"),
        (["report", "a" * 300], "File name too long"),
        (["resume", "../x"], "no study named ../x"),
        (["validate", "quickstart", "--set", f"data={{name: image_folder, path: {'a' * 300}}}"], "does not exist"),
        (["validate", "quickstart", "--set", "data={name: image_folder, path: ~nobody-here/x}"], "does not exist"),
        (
            ["validate", "quickstart", "--set", f"teachers.0={{network: digits-cnn, weights: {'a' * 300}}}"],
            "no such file",
        ),
        (["submit", "quickstart", "--set", "train.epochz=3"], "did you mean `epochs`?"),
        (["submit", "quickstart", "--set", "student.network=FC32-FC7"], "7"),
        (
            ["submit", "quickstart", "--set", "teachers.0={network: digits-cnn, weights: absent.safetensors}"],
            "no such file",
        ),
        (
            ["submit", "quickstart", "--address", "auto"],
            "--address auto: expected the address of a",
        ),
        (["submit", "quickstart", "--address", NOBODY], f"no Ray cluster answers at {NOBODY}"),
        (["jobs", "--address", NOBODY], f"no Ray cluster answers at {NOBODY}"),
        (["logs", "some", "--address", NOBODY], f"no Ray cluster answers at {NOBODY}"),
        (["stop", "some", "--address", NOBODY], f"no Ray cluster answers at {NOBODY}"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_and_where(
    refused: Callable[..., str], words: list[str], expected: str
) -> None:
    assert expected in refused(*words)


@pytest.mark.parametrize("verb", ["validate", "run"])
def test_teacher_weights_with_a_nan_are_refused(refused: Callable[..., str], workspace: Path, verb: str) -> None:
    weights = zoo.build("FC10", (1, 8, 8), 10).state_dict()
    next(iter(weights.values())).flatten()[0] = float("nan")
    save_file(weights, workspace / "teacher.safetensors")
    given = "teachers=[{network: FC10, weights: teacher.safetensors}]"
    assert "has numbers that are NaN or infinite" in refused(verb, "quickstart", "--set", given)


def test_a_name_does_not_lead_out_of_the_folder_of_all_studies(
    refused: Callable[..., str], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = workspace / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tracking-uri").write_text("sqlite:////lure.db")
    for words in (["table"], ["status"], ["report"]):
        assert "lure" not in refused(*words, "../../elsewhere")


def test_an_address_that_is_none_is_one_line(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:hunter2@[bad")
    assert "hunter2" not in refused("table", "mine")


def test_a_truncated_mnist_file_is_named(refused: Callable[..., str], workspace: Path) -> None:
    raw = workspace / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00")
    assert "train-images-idx3-ubyte" in refused("run", "mnist-table-1", "--data-root", "data")


def test_an_empty_folder_is_refused(refused: Callable[..., str], workspace: Path) -> None:
    (workspace / "empty").mkdir()
    assert "empty" in refused("run", folder_study(workspace, workspace / "empty"))


def test_a_folder_of_one_class_is_refused(refused: Callable[..., str], workspace: Path, pictures: Path) -> None:
    for part in ("train", "test"):
        (pictures / part / "dog").rename(workspace / f"dog-{part}")
    assert "class" in refused("run", folder_study(workspace, pictures))


def test_class_mismatch_is_refused_by_both_numbers(
    refused: Callable[..., str], workspace: Path, pictures: Path
) -> None:
    """A network with other classes than the images is refused, and the message has both numbers."""
    line = refused("run", folder_study(workspace, pictures), "--set", "student.network=FC8-FC5")
    assert "5" in line
    assert "2" in line


def test_refusing_server_is_one_line_in_ten_seconds(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server that refuses the connection is one line within ten seconds."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://user:secret@127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    began = time.monotonic()
    line = refused("run", "quickstart")
    assert time.monotonic() - began < 10
    assert "does not answer" in line
    assert "secret" not in line


def test_hanging_server_is_one_line_in_ten_seconds(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server that hangs is one line within ten seconds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert "does not answer" in refused("run", "quickstart")
        assert time.monotonic() - began < 10


def test_a_cluster_that_hangs_is_one_line_within_ten_seconds(refused: Callable[..., str]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        refused("jobs", "--address", NOBODY)  # imports Ray
        began = time.monotonic()
        line = refused("jobs", "--address", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began < 10
    assert "does not answer" in line


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "NOISY_STUDY_ROOT"),
        ({"NOISY_STUDY_ROOT": "relative"}, "NOISY_STUDY_ROOT"),
        ({"NOISY_STUDY_ROOT": "/shared"}, "MLFLOW_TRACKING_URI"),
        ({"NOISY_STUDY_ROOT": "/shared", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}, "MLFLOW_TRACKING_URI"),
    ],
)
def test_a_job_on_a_cluster_that_keeps_nothing_is_refused(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in {"NOISY_STUDY_JOB": "1", **environment}.items():
        monkeypatch.setenv(name, value)
    assert expected in refused("run", "quickstart", "--resume")


@pytest.mark.parametrize("flag", ["--resume", "--go-on"])
def test_resume_refuses_the_name_of_another_study_file(refused: Callable[..., str], workspace: Path, flag: str) -> None:
    """`--go-on` is the former name of `--resume`."""
    folder = StudyFolder(DEFAULT_ROOT, "quickstart")
    folder.claim(
        StartRecord(
            study_file=dump_study(study_of("quickstart", ["seeds=[7]"])),
            tracking_uri="sqlite:///mlflow.db",
            journal=folder.own_journal,
            data_digest="0123abcd",
            weights={},
        )
    )
    line = refused("run", "quickstart", flag)
    assert "study quickstart was started with another study file (it differs in seeds)" in line


@pytest.mark.parametrize(
    "words",
    [("extend", "absent", "--set", "seeds=[0, 1, 2, 3]"), ("run", "quickstart", "--name", "absent", "--extend")],
)
def test_a_study_that_never_started_is_not_extended(refused: Callable[..., str], words: tuple[str, ...]) -> None:
    assert "no study named absent" in refused(*words)


def test_validate_prints_the_rounds(command: Command) -> None:
    rounds = "seeds={first: 3, at_most: 20, until: decided}"
    status, out, err = command("validate", "quickstart", "--set", rounds)
    assert status == 0, err
    assert "seeds: rounds that end with 3, 5, 8, 12, 20 seeds" in err
    assert parse_study(out, "printed").seed_list == tuple(range(20))


def test_a_network_that_fails_while_a_study_runs_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was tried before the study began, and is tried again for a second study of the same command."""

    def fails(standalone_mode: bool) -> None:
        raise NotationError("mine.py:Small takes more than 60 s to be created")

    monkeypatch.setattr("study.terminal.cli.app", fails)
    assert command("try") == (1, "", "network mine.py:Small takes more than 60 s to be created\n")


def test_version_prints_the_installed_version(command: Command) -> None:
    assert command("--version") == (0, f"{version('noisy-teacher-study')}\n", "")


def test_help_lists_each_command_of_the_package_once(command: Command) -> None:
    status, out, _ = command("--help")
    names = [name for name, _ in COMMANDS]
    assert status == 0
    assert len(set(names)) == len(names)
    assert all(any(line.strip("│ ").startswith(f"{name} ") for line in out.splitlines()) for name in names)
    assert "--go-on" not in command("run", "--help")[1]


def test_ls_names_every_recipe(command: Command) -> None:
    _, out, _ = command("ls", "--json")
    assert [row["name"] for row in json.loads(out)] == recipe_names()


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_validates_and_reads_back_as_itself(command: Command, recipe: str) -> None:
    status, out, err = command("validate", recipe)
    assert status == 0, err
    assert parse_study(out, "printed").name == recipe


def test_validate_warns_of_a_search_without_learning(command: Command) -> None:
    """`validate` says on standard error that the sampler learns from no trial."""
    search = "search={sampler: tpe, trials: 5}"
    status, out, err = command("validate", "quickstart", "--set", search)
    assert status == 0
    assert parse_study(out, "printed").search is not None
    assert err == (
        "search: all 5 trials will be random, because the sampler tpe learns only after startup_trials, which is 10; "
        "set a lower startup_trials or more trials\n"
    )
    assert command("validate", "quickstart", "--set", "search={sampler: tpe, trials: 50}")[2] == ""


def test_cp_writes_a_recipe_once(command: Command, workspace: Path) -> None:
    assert command("cp", "quickstart", "mine.yaml")[0] == 0
    assert "noisy_teacher" in (workspace / "mine.yaml").read_text()
    status, _, err = command("cp", "quickstart", "mine.yaml")
    assert status == 2
    assert "already exists" in err


@pytest.mark.parametrize("name", names())
def test_net_prints_json_alone(command: Command, name: str) -> None:
    _, out, _ = command("net", name, "--json")
    printed = json.loads(out)
    assert printed["multiplications"] == sum(layer["multiplications"] for layer in printed["layers"])


def test_net_counts_nin(command: Command) -> None:
    assert json.loads(command("net", "nin", "--json")[1])["multiplications"] == 222_486_528


def test_net_compares_with_a_teacher(command: Command) -> None:
    assert "32.99 times fewer" in command("net", "student3", "--teacher", "nin")[1]


def test_a_tar_of_images_validates_like_its_folder(command: Command, workspace: Path, pictures: Path) -> None:
    with tarfile.open(workspace / "pictures.tar.gz", "w:gz") as tar:
        tar.add(pictures, "pictures")
    status, out, err = command("validate", folder_study(workspace, workspace / "pictures.tar.gz"))
    assert status == 0, err
    assert "image_folder" in out
