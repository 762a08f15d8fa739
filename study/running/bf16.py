"""Whether a study trains in bf16 on a processor on which bf16 is slow.

Works on a study file and on the measurements of a processor. Knows nothing of how they were taken.
"""

from typing import TYPE_CHECKING

from study.config import StudyConfig
from study.planning import plan

if TYPE_CHECKING:  # it loads PyTorch, which the check of most study files does not need
    from study.distill.processor import MeasuredProcessor


def trains_in_bf16_on_cpus(config: StudyConfig) -> bool:
    """Whether any training of a study, also one that a search proposes, can run in bf16 on a CPU."""
    if config.resources.gpus_per_trial > 0:
        return False
    planned = {trial.train.precision for trial in plan.teacher_trials(config) + plan.grid_trials(config)}
    if config.search is not None:
        planned.add(config.train.precision)
        searched = config.search.train.get("precision", ())
        planned |= set(searched) if isinstance(searched, tuple) else set()
    return "bf16" in planned


def slow_precision(config: StudyConfig, processor: "MeasuredProcessor") -> str | None:
    """One line if the study uses bf16 and this processor is slower in bf16; else None."""
    return processor.slow_bf16 if trains_in_bf16_on_cpus(config) else None
