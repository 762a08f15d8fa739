"""An arm in words, for the report, the figures and the model card.

Works on rows of a table.
"""

from study.results.rows import Row
from study.results.wording import LONGEST_LABEL, method_words, plain, setting_words, sigma_words
from study.stages import CONFIRM


def arm_words(row: Row) -> str:
    """An arm's setting: `noisy teacher, σ = 0.5, α = 0.15`."""
    words = [method_words(row.arm.method)]
    if row.arm.sigma is not None:
        words.append(sigma_words(row.arm.sigma))
    if row.arm.alpha is not None:
        words.append(f"α = {row.arm.alpha:.3g}")
    if row.arm.noise not in (None, "fresh"):
        words.append("frozen noise" if row.arm.noise == "frozen" else f"noise {plain(str(row.arm.noise))}")
    words += [setting_words(name, value) for name, value in row.settings.items() if value is not None]
    if row.teacher_label is not None:
        words.append(f"teacher {plain(row.teacher_label, LONGEST_LABEL)}")
    if row.stage == CONFIRM:
        words.append("confirmed on fresh seeds")
    return ", ".join(words)
