"""Reading a pickle of containers, numbers, texts and arrays of bytes, and nothing else.

Works on the batches of CIFAR's Python version, which are pickles and come from outside. No class or function that a
pickle names is ever looked up: the names that an array of bytes needs stand for stand-ins of our own, every other
name is refused before anything runs.
"""

import io
import pickle
from typing import Any

import numpy as np


class RefusedPickle(Exception):
    """Why a pickle is not read, in one line."""


def load_restricted(content: bytes) -> Any:
    """The object in a pickle; NumPy arrays must be of uint8. Text of Python 2 is returned as bytes.

    Raises:
        RefusedPickle: it names anything but a NumPy array, or is damaged.
    """
    try:
        return _finished(_Unpickler(io.BytesIO(content), encoding="bytes").load())
    except RefusedPickle:
        raise
    except Exception as error:  # noqa: BLE001  a damaged pickle raises whatever its opcodes stumble over
        raise RefusedPickle(f"a damaged pickle ({type(error).__name__})") from None


class _ByteType:
    """Stands for `numpy.dtype('u1')`, the only one there is here."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise RefusedPickle(f"an array of {code!r} where bytes (u1) belong")

    def __setstate__(self, _: object) -> None:
        """Byte order and alignment say nothing about bytes."""


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


def _latin1(text: str, _encoding: object) -> bytes:
    """How Python 3 writes bytes into the pickle protocols of Python 2."""
    return text.encode("latin-1")


_ARRAY_CLASS = object()
"""Stands for `numpy.ndarray`, which a pickle hands to the function that makes one."""

_STAND_INS: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _ByteArray,
    ("numpy._core.multiarray", "_reconstruct"): _ByteArray,
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _ByteType,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        stand_in = _STAND_INS.get((module_name, global_name))
        if stand_in is None:
            raise RefusedPickle(f"it asks for {f'{module_name}.{global_name}'!r}, which no batch of images needs")
        return stand_in


def _finished(value: Any) -> Any:
    """The same with arrays in place of their stand-ins, at the depth where CIFAR has them."""
    if isinstance(value, dict):
        return {key: item.array if isinstance(item, _ByteArray) else item for key, item in value.items()}
    return value
