"""Reading a pickle of containers, numbers, texts and arrays of bytes, and nothing else.

Works on the batches of CIFAR's Python version, which are pickles and come from outside. No class or function that a
pickle names is imported. The names that an array of bytes needs are replaced by classes of this module; every other
name is refused before anything runs. A pickle cannot exhaust the machine: only a few kinds of steps are allowed, their
number is limited, and the result takes no more memory than the pickle has bytes.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_STEPS = 3_000_000
"""Ten times what the largest official batch takes."""


class RefusedPickle(Exception):
    """Why a pickle is not read, in one line."""


def load_restricted(content: bytes) -> Any:
    """The object in a pickle. NumPy arrays must be of uint8. Text of Python 2 is returned as bytes.

    Raises:
        RefusedPickle: the pickle names anything else than a NumPy array, or is damaged.
    """
    try:
        return _finished(_Unpickler(content).load())
    except RefusedPickle:
        raise
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise any exception
        raise RefusedPickle(f"a damaged pickle ({type(error).__name__})") from None


class _ByteType:
    """Stands for `numpy.dtype('u1')`, the only type that is accepted."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            said = repr(code[:20]) if isinstance(code, str | bytes) else type(code).__name__
            raise RefusedPickle(f"an array of {said}, expected bytes (u1)")

    def __setstate__(self, _: object) -> None:
        """Byte order and alignment have no meaning for single bytes."""


class _ByteArray:
    """Stands for an array between the two steps in which it is unpickled."""

    def __init__(self, *_: object) -> None:
        self.array: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _ByteType, bool, bytes]) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _ByteType) or not isinstance(content, bytes):
            raise RefusedPickle("an array that is not made of bytes")
        flat = np.frombuffer(content, dtype=np.uint8)
        self.array = flat.reshape(shape, order="F" if is_fortran else "C")


_ARRAY_CLASS = object()
"""Stands for `numpy.ndarray`. A pickle passes it to the function that makes an array."""

_STAND_INS: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _ByteArray,
    ("numpy._core.multiarray", "_reconstruct"): _ByteArray,
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _ByteType,
}


Step = Callable[[Any], None]
"""One step of an unpickler: what it does with its own stack."""

_STEPS = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
)
"""The steps of a pickle of containers, numbers, texts and arrays, by their names in `pickle`."""


def _code(name: str) -> int:
    code: bytes = getattr(pickle, name)
    return code[0]


class _Unpickler(pickle._Unpickler):
    """Python's unpickler written in Python. The one in C allocates memory for any object number that a pickle names."""

    left = MAX_STEPS

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._room = len(content)

    def _latin1(self, text: str, _encoding: object) -> bytes:
        """Bytes from text. With the pickle protocols of Python 2, Python 3 writes bytes as text of the same length."""
        self._room -= len(text)
        if self._room < 0:
            raise RefusedPickle("it unpacks to more bytes than its file has")
        return text.encode("latin-1")

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("_codecs", "encode"):
            return self._latin1
        stand_in = _STAND_INS.get((module_name, global_name))
        if stand_in is None:
            name = f"{module_name[:60]}.{global_name[:60]}"
            raise RefusedPickle(f"it asks for {name!r}, which no batch of images needs")
        return stand_in


def _counted(step: Step, name: str) -> Step:
    def counted(unpickler: Any) -> None:
        unpickler.left -= 1
        if unpickler.left < 0:
            raise RefusedPickle("it takes more steps than any batch of images")
        if name == "BUILD" and not isinstance(unpickler.stack[-2], _ByteType | _ByteArray):
            raise RefusedPickle("it sets attributes that no batch of images has")
        if name in ("SETITEM", "SETITEMS", "DICT"):
            # Other keys would be hashed, and the hash of deeply nested tuples takes very long.
            keys = unpickler.stack[-2:-1] if name == "SETITEM" else unpickler.stack[::2]
            if not all(isinstance(key, str | bytes) for key in keys):
                raise RefusedPickle("a dictionary with keys that are not text")
        step(unpickler)

    return counted


_Unpickler.dispatch = {_code(name): _counted(pickle._Unpickler.dispatch[_code(name)], name) for name in _STEPS}


def _finished(value: Any) -> Any:
    """The same value with arrays instead of `_ByteArray`, at the depth where CIFAR has arrays."""
    if isinstance(value, dict):
        return {key: item.array if isinstance(item, _ByteArray) else item for key, item in value.items()}
    return value
