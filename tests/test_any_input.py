"""Whatever stands in a study file, in a network's line or on the command line: a result, or one line and status 2.

Through the functions that the command line calls, and through the command line itself. By default a few hundred
examples of each; 2,000 are among the slow tests.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.study_files import Document, anything, changed, studies

from models.cost import network_cost
from models.notation import NotationError
from models.zoo import names
from study.config import parse_study
from study.data.load import describe_dataset
from study.errors import UserError
from study.planning.check import check_study
from study.terminal.cli import main

FEW, MANY = 200, 2000
IN_TIME = timedelta(seconds=30)
"""A hang is longer than this on the busiest machine; an example takes milliseconds."""

few = settings(max_examples=FEW, deadline=IN_TIME, suppress_health_check=list(HealthCheck))
many = settings(max_examples=MANY, deadline=IN_TIME, suppress_health_check=list(HealthCheck))

_yaml_text = st.text() | st.text(alphabet="abc:-[]{}&*!|>?%@#'\",\n\t 01.<~")
_documents = (studies | changed() | anything).map(lambda document: yaml.dump(document, allow_unicode=True))
study_files = _documents | _yaml_text

_layers = ["C3(S1P1)@4", "C5(S2P0)@16B", "MP2(S2)", "AP9(S9)", "FC10", "FC2", "D0.5", "D1", "torchvision:", *names()]
_pieces = st.sampled_from([*"[]-()@.CSPBéD² ", "MP", *map(str, range(12)), "99999", "100000", *_layers])
lines = st.lists(_pieces, max_size=12).map("".join) | st.text() | st.sampled_from(names())
shapes = st.none() | st.tuples(*[st.integers(-1, 40) | st.integers(0, 10**6)] * 3)


def _is_one_line(message: str) -> None:
    assert len(message.splitlines()) == 1
    assert len(message) < 3000


def _study_or_one_line(text: str) -> None:
    try:
        config = parse_study(text, "study.yaml")
        check_study(config, describe_dataset(config.data, Path("nowhere")))
    except UserError as error:
        for line in str(error).splitlines() or [""]:
            _is_one_line(line)


def _cost_or_one_line(line: str, shape: tuple[int, ...] | None) -> None:
    try:
        assert network_cost(line, shape).parameters >= 0
    except NotationError as error:
        _is_one_line(str(UserError(str(error))))


@given(study_files)
@few
def test_any_study_file_is_a_study_or_one_line(text: str) -> None:
    _study_or_one_line(text)


@pytest.mark.slow
@given(study_files)
@many
def test_any_of_many_study_files_is_a_study_or_one_line(text: str) -> None:
    _study_or_one_line(text)


@given(lines, shapes)
@few
def test_any_line_is_a_network_or_one_line(line: str, shape: tuple[int, ...] | None) -> None:
    _cost_or_one_line(line, shape)


@pytest.mark.slow
@given(lines, shapes)
@many
def test_any_of_many_lines_is_a_network_or_one_line(line: str, shape: tuple[int, ...] | None) -> None:
    _cost_or_one_line(line, shape)


# ------------------------------------------------------------------------------------------------ the command itself

_odd_words = ["../x", "/", ".", "..", "~", "~nobody/x", "a" * 300, "\udcff", "-", "--", "3x32x32", "²x1x1", "new\nline"]
_words = st.text(max_size=20).filter(lambda word: word.isascii() or word.isprintable()) | st.sampled_from(_odd_words)
_settings = st.tuples(st.sampled_from(["name", "data", "train.lr", "arms.0.sigma", "seeds", "search.space"]), anything)

Words = list[str]


def _with_file(document: Document) -> Words:
    return ["validate", yaml.dump(document, allow_unicode=True)]


_calls: st.SearchStrategy[Words] = st.one_of(
    st.tuples(st.just("net"), lines | _words).map(list),
    st.tuples(st.just("net"), lines, st.just("--input"), _words).map(list),
    st.tuples(st.just("net"), lines, st.just("--teacher"), lines, st.just("--input"), st.just("3x8x8")).map(list),
    st.tuples(st.sampled_from(["table", "status", "resume", "report", "validate", "run", "sync"]), _words).map(list),
    _settings.map(lambda pair: ["validate", "quickstart", "--set", f"{pair[0]}={yaml.dump(pair[1])}"]),
    _words.map(lambda word: ["run", "--from-run", word]),
    _words.map(lambda word: ["run", "quickstart", "--name", word, "--set", "data.name=no"]),
    changed().map(_with_file),
    st.lists(_words, min_size=1, max_size=3),
)


@pytest.fixture
def call(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Words], tuple[int, str, str]]:
    def call(words: Words) -> tuple[int, str, str]:
        if words[:1] == ["validate"] and "\n" in words[-1] and "--set" not in words:
            (workspace / "study.yaml").write_text(words[-1], encoding="utf-8", errors="surrogatepass")
            words = ["validate", "study.yaml"]
        # As the operating system hands them over: bytes, and no NUL.
        words = [os.fsdecode(word.replace("\0", "").encode("utf-8", errors="surrogateescape")) for word in words]
        monkeypatch.setattr(sys, "argv", ["noisy-study", *words])
        # As Python opens them: what cannot be encoded is escaped on standard error.
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        printed = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return int(ended.value.code or 0), printed[0], printed[1]

    return call


@given(words=_calls)
@few
def test_any_words_are_a_result_or_mistakes_and_status_2(
    call: Callable[[Words], tuple[int, str, str]], words: Words
) -> None:
    status, out, err = call(words)
    if status == 0:
        assert out or err
    else:
        assert status == 2, (status, err)
        assert out == ""
        assert 1 <= err.count("\n") <= 21, err
        assert "Traceback" not in err
