"""Cells of a table for people: numbers as rounded text.

Works on values of one row. Knows nothing of columns or formats.
"""

from study.results.arms import Setting
from study.results.rows import Row
from study.results.rule import LEVEL
from study.results.statistics import Interval
from study.results.wording import two_digits


def sigma_text(sigma: float | Interval | None) -> str:
    """`0.5`, or `U[0.01, 1]` for a uniform draw."""
    return f"U[{sigma[0]:g}, {sigma[1]:g}]" if isinstance(sigma, tuple) else plain_text(sigma)


def plain_text(value: Setting | None) -> str:
    """A setting as text. A missing setting gives an empty text."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def error_text(row: Row) -> str:
    """The mean test error in per cent with its interval: `21.94 [21.00, 23.00]`."""
    if row.test_error_mean is None:
        return ""
    text = f"{row.test_error_mean * 100:.2f}"
    if row.test_error_ci95 is not None:
        low, high = row.test_error_ci95
        text += f" [{fixed(low * 100, 2)}, {fixed(high * 100, 2)}]"
    return text


def improvement_text(row: Row) -> str:
    """The improvement with its interval: `+3.1 [−0.5, 6.8] %`."""
    if row.improvement_percent is None:
        return ""
    text = signed_percent(row.improvement_percent, unit="")
    if row.improvement_ci95 is not None:
        low, high = row.improvement_ci95
        text += f" [{fixed(low, 1)}, {fixed(high, 1)}]"
    return f"{text} %"


def detectable_text(row: Row) -> str:
    """The smallest improvement that the row's seeds find: `6 to 11 %`, `over 100 %`."""
    if row.detectable_percent is None:
        return ""
    low, high = row.detectable_percent
    if low >= 100:
        return "over 100 %"
    return f"{two_digits(low)} to {two_digits(high)} %" if high < 100 else f"{two_digits(low)} % to none"


def signed_percent(value: float | None, unit: str = " %") -> str:
    """A number with its sign, one digit after the point: `+3.1 %`."""
    if value is None:
        return ""
    text = fixed(value, 1)
    return ("+" if value > 0 and text != "0.0" else "") + text + unit


def fixed(value: float | None, digits: int) -> str:
    """A number with a real minus sign, and no minus before a zero."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def p_text(value: float | None) -> str:
    """A p-value with three digits. A small one is `<0.001`."""
    if value is None:
        return ""
    if value < 0.001:
        return "<0.001"
    # Rounding must not move a p-value across the bound that decides the verdict.
    shown, bound = f"{value:.3f}", f"{LEVEL:.3f}"
    return f"<{bound}" if value < LEVEL and shown == bound else shown
