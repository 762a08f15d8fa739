"""Whether a study asks for a precision that is slow where it trains.

Works on a study file and on what was measured of a processor. Knows nothing of how that was measured.
"""

from typing import TYPE_CHECKING

from study.config import StudyConfig
from study.planning import plan

if TYPE_CHECKING:  # it loads PyTorch, which most study files are checked without
    from study.distill.processor import MeasuredProcessor


def trains_in_bf16_on_cpus(config: StudyConfig) -> bool:
    """Whether any training of a study, a searched one included, can be in bf16 on a CPU."""
    if config.resources.gpus_per_trial > 0:
        return False
    planned = {trial.train.precision for trial in plan.teacher_trials(config) + plan.grid_trials(config)}
    if config.search is not None:
        planned.add(config.train.precision)
        searched = config.search.train.get("precision", ())
        planned |= set(searched) if isinstance(searched, tuple) else set()
    return "bf16" in planned


def slow_precision(config: StudyConfig, processor: "MeasuredProcessor") -> str | None:
    """One line where a study asks for bf16 and the processor is slower in it; else None."""
    return processor.slow_bf16 if trains_in_bf16_on_cpus(config) else None
