"""No output ends in a traceback: encodings without σ, closed streams, pipes that nobody reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.disturbed import HERE, NOISY_STUDY

PRINTS = "from study.terminal.streams import make_streams_safe; make_streams_safe(); import sys; "


def _shell(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env={**HERE, "PYTHON": sys.executable, "NOISY_STUDY": NOISY_STUDY, **environment},
        capture_output=True,
        text=True,
        encoding="latin-1",
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_an_encoding_without_sigma_gets_its_escape(tmp_path: Path, encoding: str) -> None:
    code = PRINTS + "import json; print(json.dumps('σ = ½ −1', ensure_ascii=False)); print('σ', file=sys.stderr)"
    done = _shell(f'"$PYTHON" -c "{code}"', tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert json.loads(done.stdout) == "σ = ½ −1"
    assert done.stderr == "\\u03c3\n"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "utf-8"])
def test_commands_print_on_every_encoding(tmp_path: Path, encoding: str) -> None:
    done = _shell('"$NOISY_STUDY" validate quickstart --set arms.0.sigma=σ', tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_never_a_file_of_ours(tmp_path: Path, closed: str) -> None:
    """The next file that is opened must not get the number of standard output."""
    code = PRINTS + "file = open('kept', 'w'); print('into nothing'); sys.stderr.write('nothing'); file.write('kept')"
    done = _shell(f'"$PYTHON" -c "{code}" {closed}', tmp_path)
    assert done.returncode == 0
    assert done.stderr == ("" if "2>&-" in closed else "nothing")
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize("pipe", ["2>&1 >/dev/null | true", "2>&1 >/dev/null | head -1 >/dev/null"])
def test_messages_nobody_reads_stop_nothing(tmp_path: Path, pipe: str) -> None:
    code = PRINTS + "[print('a message', file=sys.stderr) for _ in range(9999)]; open('done', 'w')"
    _shell(f'"$PYTHON" -c "{code}" {pipe}', tmp_path)
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("output", [">&-", "| true", "| head -1"])
def test_a_command_whose_output_is_closed_prints_no_traceback(tmp_path: Path, output: str) -> None:
    done = _shell(f'"$NOISY_STUDY" ls {output}', tmp_path)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_output_to_a_full_disk_is_one_line(tmp_path: Path) -> None:
    done = _shell('"$NOISY_STUDY" ls > /dev/full', tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "the system: No space left on device"
