"""Verdicts: the conclusion about a row.

Works on codes and words. JSON and CSV contain the codes, which do not change. People read the words.
"""

from collections.abc import Mapping
from typing import Literal, get_args

Verdict = Literal[
    "better",
    "worse",
    "no_difference_that_matters",
    "undecided",
    "seeds_lost",
    "one_seed",
    "two_seeds",
    "no_spread",
    "no_common_seed",
    "no_baseline",
    "baseline",
]

Tested = Literal["better", "worse", "no_difference_that_matters", "undecided"]
TESTED: tuple[Tested, ...] = get_args(Tested)
"""Verdicts that are the result of a test."""

WORDS: Mapping[Verdict, str] = {
    **{code: code.replace("_", " ") for code in get_args(Verdict)},
    "one_seed": "one seed: no interval",
    "two_seeds": "two seeds: no verdict",
    "no_spread": "no spread: no test",
}
"""Every verdict in words."""
