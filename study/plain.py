"""Text from others, made safe to print.

Works on text. Knows nothing of where it came from. A terminal reads control characters as commands: they move the
cursor, change what is on the screen, or write to the clipboard. Characters for the direction of text let a name look
like another one.
"""

import re
import unicodedata
from functools import lru_cache

_LEFT_OUT = ("Cc", "Cf", "Cs")
"""Unicode categories: control, format (with the directions of text), and half characters, which cannot be encoded."""

_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"
"""Control characters that separate words. Each becomes a space."""


def plain(text: str) -> str:
    """A text on one line, without control characters. Text that can be printed as it is stays as it is."""
    return text if text.isprintable() else "".join(map(_plain_character, text))


def plain_lines(text: str) -> str:
    """A text of several lines, such as a log, without other control characters than line breaks and tabs.

    A carriage return becomes a line break, so that no line hides an earlier one. What is appended to a text changes
    nothing before it, except for a carriage return at its end, which is left out.
    """
    lines = re.sub(r"\r+\n?", "\n", text.rstrip("\r")).split("\n")
    return "\n".join("\t".join(map(plain, line.split("\t"))) for line in lines)


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character in _SPACES:
        return " "
    return "" if unicodedata.category(character) in _LEFT_OUT else character
