"""Verdicts: what may be said of a row.

Works on codes and words. JSON and CSV have the codes, which do not change; people read the words.
"""

from collections.abc import Mapping
from typing import Literal, get_args

Verdict = Literal[
    "better",
    "worse",
    "undecided",
    "seeds_lost",
    "one_seed",
    "no_spread",
    "no_common_seed",
    "no_baseline",
    "baseline",
]

Tested = Literal["better", "worse", "undecided"]
TESTED: tuple[Tested, ...] = get_args(Tested)
"""Verdicts that a test gave."""

WORDS: Mapping[Verdict, str] = {
    **{code: code.replace("_", " ") for code in get_args(Verdict)},
    "one_seed": "one seed: no interval",
    "no_spread": "no spread: no test",
}
"""Every verdict in words."""
