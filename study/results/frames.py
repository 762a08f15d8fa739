"""Columns of a `TrackedStudy`'s frames that may not be there.

Works on pandas frames alone.
"""

import pandas as pd


def text(frame: pd.DataFrame, column: str) -> "pd.Series[str]":
    """A column of text; missing everywhere where the frame has none of that name."""
    if column not in frame:
        return pd.Series(pd.NA, index=frame.index, dtype="str")
    return frame[column].astype("str")


def number(frame: pd.DataFrame, column: str) -> "pd.Series[float]":
    """A column of numbers; missing where there is none, or where it is no finite number."""
    if column not in frame:
        return pd.Series(float("nan"), index=frame.index, dtype="float64")
    numbers = pd.to_numeric(frame[column], errors="coerce").astype("float64")
    return numbers.where(numbers.abs() < float("inf"))
