"""Text from others: a terminal obeys nothing of it."""

import unicodedata

import pytest

from study.errors import UserError
from study.plain import plain, plain_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("σ=0.5 naïve 学习 −1 ☂", "σ=0.5 naïve 学习 −1 ☂"),
        ("\x1b[2J\x1b]0;title\x07red", "[2J]0;titlered"),
        ("\x9b31mred", "31mred"),
        ("one\ttwo\nthree\r\nfour\u2028five", "one two three  four five"),
        ("safe\u202etxt.exe", "safetxt.exe"),
        ("back\x08space\x00\x7f", "backspace"),
        ("half \ud800", "half "),
        ("", ""),
    ],
)
def test_one_line_has_no_control_characters(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_no_character_of_unicode_is_a_command() -> None:
    shown = plain("".join(map(chr, range(0x110000))))
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_a_log_keeps_its_lines_and_tabs() -> None:
    assert plain_lines("one\ttwo\r\nthree\x1b[1A\rfour\n") == "one\ttwo\nthree[1A\nfour\n"


def test_what_is_appended_to_a_log_changes_nothing_before() -> None:
    log = "one\r\ntwo\r\x1b[0m\tthree\r\n\r\nfour"
    whole = plain_lines(log)
    assert all(whole.startswith(plain_lines(log[:end])) for end in range(len(log)))


def test_an_error_that_quotes_others_has_none() -> None:
    assert str(UserError("the server says \x1b]52;c;ZXZpbA==\x07 no")) == "the server says ]52;c;ZXZpbA== no"
