"""Standard output and standard error that take every text: on any encoding, closed, or a pipe that nobody reads.

Works on the process's own streams, once, before anything is printed. Knows nothing of commands.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

ESCAPE = "noisy_study_escape"
"""Name of the error handler that `escaped` is."""


def escaped(error: UnicodeError) -> tuple[str, int]:
    """An error handler that writes characters as escapes of JSON: `\\u00bd`, and two of them above U+FFFF.

    Python's `backslashreplace` writes `\\xbd`, which no JSON parser reads.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end


codecs.register_error(ESCAPE, escaped)


def make_streams_safe() -> None:
    """Have no output end in a traceback.

    A closed stream becomes `/dev/null`; otherwise the next file that is opened would take its number, and output would
    go into it. A character that the encoding does not have is written as its escape in JSON (`\\u03c3`). Messages for a
    standard error that nobody reads any more are dropped, so that a study does not stop for them. A broken standard
    output stays an error: it ends a command that prints without end.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    sys.stdout = _safe(sys.stdout, 1)
    sys.stderr = _unbreakable(_safe(sys.stderr, 2))


def _safe(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:  # it was closed when Python started
        return open(descriptor, "w", encoding="utf-8", errors=ESCAPE, closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=ESCAPE)
    return stream


class _DroppingFile(io.FileIO):
    """A file that drops what is written when nobody can read it."""

    def write(self, content: object) -> int:
        try:
            return super().write(content)  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):
            return len(memoryview(content))  # type: ignore[arg-type]


def _unbreakable(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = _DroppingFile(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True, write_through=True
    )


@contextmanager
def unread_output_allowed() -> Iterator[None]:
    """Around the output of a command whose work is done: where nobody reads it, it is dropped."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Send what is left of standard output to `/dev/null`, so that the end of Python does not fail for it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
