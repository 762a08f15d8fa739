"""Exported files give the network's answers, and the card says what was measured."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from support.damage import flip_in_the_middle, write_as_before
from support.ran import Ran, ran_study, small_study

from study.digests import CHANGED
from study.errors import UserError
from study.export.choice import choose
from study.export.files import CARD, INT8_FILE, Exported, export_student
from study.export.registry import register_student
from study.export.student import logits_on
from study.export.weights import open_student, refuse_another_error
from study.results.table import table_of
from study.terminal.cli import main

pytest_plugins = ("support.ran",)


def _export(ran: Ran, out: Path, **options: object) -> Exported:
    return export_student(ran.uri, ran.name, out, ran.root, ran.data_root, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return _export(ran, tmp_path_factory.mktemp("exported"), int8=True)


@pytest.fixture(scope="module")
def out(exported: Exported) -> Path:
    return exported.card.parent


def test_onnx_runtime_agrees_on_the_test_set(ran: Ran, out: Path) -> None:
    """ONNX Runtime gives the student's classes and logits on the whole test set."""
    opened = ran.opened()
    session = onnxruntime.InferenceSession(out / "student.onnx", providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"images": opened.images})
    expected = logits_on(opened.student, opened.images)
    assert np.array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_images_goes_in(ran: Ran, out: Path, count: int) -> None:
    session = onnxruntime.InferenceSession(out / "student.onnx", providers=["CPUExecutionProvider"])
    assert session.run(["logits"], {"images": ran.opened().images[:count]})[0].shape == (count, 10)


def test_the_onnx_file_is_valid_and_says_where_it_comes_from(ran: Ran, out: Path) -> None:
    model = onnx.load(out / "student.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["study"] == ran.name
    assert facts["data_digest"] == ran.dataset.digest
    assert facts["classes"].split("\n") == list(ran.dataset.classes)


def test_the_report_has_the_results_of_the_files(ran: Ran, exported: Exported, out: Path) -> None:
    opened = ran.opened()
    plain, quantised = exported.files
    assert (plain.other_classes, plain.images, plain.exact) == (0, 500, True)
    assert plain.test_error == pytest.approx(opened.choice.test_error)
    session = onnxruntime.InferenceSession(out / INT8_FILE, providers=["CPUExecutionProvider"])
    classes = session.run(["logits"], {"images": opened.images})[0].argmax(axis=1)
    assert quantised.test_error == pytest.approx((classes != opened.labels).mean())
    assert not quantised.exact
    assert quantised.bytes == (out / INT8_FILE).stat().st_size


def test_int8_quantises_the_network_and_leaves_the_preprocessing(ran_folder: Path, tmp_path: Path) -> None:
    config = small_study(
        name="contrast",
        data={"name": "digits", "preprocess": ["local_contrast_normalization"]},
        arms=[{"method": "noisy_teacher", "sigma": 0.3}],
        seeds=[0],
    )
    contrast = ran_study(config, ran_folder, ran_folder)
    plain, quantised = _export(contrast, tmp_path / "out", int8=True).files
    kinds = [node.op_type for node in onnx.load(tmp_path / "out" / INT8_FILE).graph.node]
    assert kinds.count("MatMul") == 4  # the windows of local contrast normalisation
    assert kinds.count("ConvInteger") == kinds.count("MatMulInteger") == 1
    assert plain.other_classes == 0
    assert quantised.test_error == pytest.approx(plain.test_error, abs=0.05)


def test_a_torch_program_runs_without_this_package(ran: Ran, tmp_path: Path) -> None:
    (file,) = _export(ran, tmp_path / "out", format="torch").files
    assert file.other_classes == 0
    assert file.largest_difference < 1e-5
    opened = ran.opened()
    np.save(tmp_path / "images.npy", opened.images[:5])
    program = (
        "import sys, numpy, torch\n"
        "student = torch.export.load('out/student.pt2').module()\n"
        "logits, probabilities = student(torch.from_numpy(numpy.load('images.npy')))\n"
        "assert 'study' not in sys.modules\n"
        "numpy.save('logits.npy', logits.detach().numpy())\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    expected = logits_on(opened.student, opened.images[:5])
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-4)


def test_card_has_table_errors_and_measurements(ran: Ran, exported: Exported) -> None:
    """The model card has the errors of the table and what was measured."""
    card = exported.card.read_text(encoding="utf-8")
    choice = ran.opened().choice
    (row,) = [row for row in table_of(ran.tracked).rows if row == choice.row]
    assert f"mean over 2 seeds: {row.mean * 100:.2f} %" in card
    assert f"Test error of these weights: {choice.test_error * 100:.2f} %" in card
    assert ran.dataset.digest in card
    assert "| teacher digits-cnn | 347,392 | 53,002 | 212,008 |" in card
    latency = card[card.index("## Latency") :]
    measured = re.findall(r"^\| (student|teacher) .*\| ([\d.e+]+) \| ([\d.e+]+) \|$", latency, re.MULTILINE)
    assert [role for role, *_ in measured] == ["student", "teacher", "student", "student"]
    assert all(float(number) > 0 for _, *numbers in measured for number in numbers)


def test_a_card_without_the_teacher_s_weights_says_so(ran: Ran, tmp_path: Path) -> None:
    root = tmp_path / ".noisy-study"
    shutil.copytree(ran.root, root)
    shutil.rmtree(root / "teachers")
    done = export_student(ran.uri, ran.name, tmp_path / "out", root, ran.data_root, "torch")
    assert "The teacher was not measured: weights" in done.card.read_text(encoding="utf-8")


def test_exporting_leaves_the_number_of_threads(ran: Ran, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        _export(ran, tmp_path / "out", format="torch")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_weights_must_be_on_this_machine(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights .* are not on this machine .*in the folder where the study ran"):
        export_student(ran.uri, ran.name, tmp_path / "out", tmp_path / "elsewhere", ran.data_root)
    assert not (tmp_path / "out").exists()


def test_int8_is_for_onnx(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--format onnx"):
        _export(ran, tmp_path / "out", format="torch", int8=True)


def test_out_is_a_folder(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="name a folder"):
        _export(ran, tmp_path / "out")


def test_without_the_extra_one_line_names_it(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # what Python does for a module that is not there
    with pytest.raises(UserError, match=r"pip install 'noisy-teacher-study\[export\]'"):
        _export(ran, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_what_it_found(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ran.root.parent)
    for name in ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["noisy-study", "export", ran.name, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out == ""
    assert "student.onnx: same class for all 500 test images, largest logit difference" in said.err
    assert (tmp_path / "out" / CARD).exists()


def _copy(ran: Ran, folder: Path) -> Path:
    """The folder of the study, to be damaged; the data of the export fixture stay as they are."""
    shutil.copytree(ran.root, folder / ".noisy-study")
    return folder / ".noisy-study"


def _champion(ran: Ran, root: Path) -> Path:
    return root / "studies" / ran.name / "trials" / ran.opened().choice.trial_id / "weights.safetensors"


def test_weights_with_a_flipped_bit_are_not_exported(ran: Ran, tmp_path: Path) -> None:
    root = _copy(ran, tmp_path)
    flip_in_the_middle(_champion(ran, root))
    with pytest.raises(UserError, match=f"{CHANGED}; noisy-study resume small trains this"):
        export_student(ran.uri, ran.name, tmp_path / "out", root, ran.data_root)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_weights_without_a_digest_must_err_as_tracked(ran: Ran, tmp_path: Path, noise: float) -> None:
    """Weights of an earlier version have no digest; their error is compared with the tracked one all the same."""
    root = _copy(ran, tmp_path)
    write_as_before(_champion(ran, root), noise)
    opened = open_student(choose(ran.tracked), root, ran.data_root)
    if not noise:
        refuse_another_error(opened, logits_on(opened.student, opened.images))
        return
    with pytest.raises(UserError, match=r"best student \(grid-\d+\) have a test error of .* % is tracked for it"):
        export_student(ran.uri, ran.name, tmp_path / "out", root, ran.data_root)
    with pytest.raises(UserError, match="nothing is exported or registered"):
        register_student(ran.uri, opened)
    assert not (tmp_path / "out").exists()


def test_a_damaged_teacher_is_not_on_the_card(ran: Ran, tmp_path: Path) -> None:
    root = _copy(ran, tmp_path)
    for file in (root / "teachers").glob("*/weights.safetensors"):
        flip_in_the_middle(file)
    done = export_student(ran.uri, ran.name, tmp_path / "out", root, ran.data_root)
    text = done.card.read_text(encoding="utf-8")
    assert re.search(r"The teacher was not measured: weights .*: its content has changed since it was written\.", text)
