"""Pickles from outside: arrays of bytes are read, everything else is refused unexecuted."""

import builtins
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dataset_files import pictures

from study.data.files.restricted_pickle import RefusedPickle, load_restricted


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_bytes_in_containers_are_read(protocol: int, order: str) -> None:
    array = np.asarray(pictures((4, 6)), order="F" if order == "F" else "C")
    content = {"data": array, "labels": [3, 1], "names": ["a", "ü"]}
    loaded = load_restricted(pickle.dumps(content, protocol))
    assert np.array_equal(loaded["data"], array)
    assert loaded["labels"] == [3, 1]
    assert loaded["names"] == ["a", "ü"]


def test_what_python_2_wrote_is_read() -> None:
    # Protocol 2 as Python 2 and its NumPy wrote it: texts and array contents are its `str`.
    content = (
        b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(K\x01K\x00eU\x04dataq\x03"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85U\x01b\x87Rq\x06"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x07U\x02u1K\x00K\x01\x87Rq\x08"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbu."
    )
    loaded = load_restricted(content)
    assert loaded[b"labels"] == [1, 0]
    assert loaded[b"data"].tobytes() == b"abcdef"
    assert loaded[b"data"].shape == (2, 3)


class _Runs:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", ["system", "open", "eval", "getattr"])
def test_a_malicious_pickle_is_refused_unexecuted(tmp_path: Path, protocol: int, function: str) -> None:
    trace = tmp_path / "trace"
    attack = {
        "system": _Runs(os.system, f"touch {trace}"),
        "open": _Runs(builtins.open, str(trace), "w"),
        "eval": _Runs(builtins.eval, f"open({str(trace)!r}, 'w')"),
        "getattr": _Runs(builtins.getattr, "text", "upper"),
    }[function]
    content = pickle.dumps({"data": attack}, protocol)
    with pytest.raises(RefusedPickle, match=f"it asks for .*{function}"):
        load_restricted(content)
    assert not trace.exists()
    if function == "open":
        pickle.loads(content)["data"].close()  # noqa: S301  the attack is real: plain pickle falls for it
        assert trace.exists()


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros(3, dtype=np.int64), np.array([{}], dtype=object)])
def test_an_array_of_anything_but_bytes_is_refused(array: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
    with pytest.raises(RefusedPickle):
        load_restricted(pickle.dumps({"data": array}, 2))


def _proto(*steps: bytes) -> bytes:
    return b"\x80\x02" + b"".join(steps) + pickle.STOP


def _encoded_again_and_again() -> bytes:
    """One text of the file, asked for as bytes a hundred times."""
    text = b"X" + (1000).to_bytes(4, "little") + b"a" * 1000
    once = b"h\x00h\x01h\x02\x86R0"
    return _proto(b"c_codecs\nencode\nq\x00", text, b"q\x01", b"X\x06\x00\x00\x00latin1q\x02", once * 100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_proto(b"]", b"r\xff\xff\xff\xff"), None),  # the place of an object, in memory that is not there
        (_proto(b"}", b"N\x85" + b"\x85" * 100_000, b"K\x00", b"s"), "keys that are not text"),
        (_proto(b"}", b"(", b"N\x85", b"K\x00", b"u"), "keys that are not text"),
        (_proto(b"(", b"N\x85", b"K\x00", b"d"), "keys that are not text"),
        (_proto(b"c_codecs\nencode\n", b"}", b"b"), "sets attributes that no batch"),
        (_proto(b"cnumpy\ndtype\n", b"(", b"]" * 5, b"t", b"R"), "an array of list"),
        (_proto(b"c" + b"a" * 10**6 + b"\nb\n"), "a" * 50),
        (_proto(b"]", b"q\x00", b"h\x00" * 4_000_000), "more steps than any batch"),
        (_proto(b"\x8f"), "a damaged pickle"),  # a set
        (_proto(b"\x82\x01"), "a damaged pickle"),  # a name that somebody registered
        (_proto(b"]", b"2"), "a damaged pickle"),  # a copy
        (_encoded_again_and_again(), "more bytes than its file has"),
    ],
)
def test_exhausting_pickles_are_refused_or_harmless(content: bytes, message: str | None) -> None:
    """A pickle that would exhaust the machine's memory or time is refused or does no harm."""
    if message is None:
        assert load_restricted(content) == []
        return
    with pytest.raises(RefusedPickle, match=message) as refusal:
        load_restricted(content)
    assert len(str(refusal.value)) < 300


_WHOLE = pickle.dumps({"data": pictures((4, 6)), "labels": [3, 1]}, 2)


@given(position=st.integers(0, len(_WHOLE) - 1), value=st.integers(0, 255), length=st.integers(0, len(_WHOLE)))
def test_damage_is_refused_or_harmless(position: int, value: int, length: int) -> None:
    damaged = bytearray(_WHOLE)
    damaged[position] = value
    try:
        load_restricted(bytes(damaged[:length]))
    except RefusedPickle as error:
        assert "\n" not in str(error)  # noqa: PT017  damaged pixels are read as they are
