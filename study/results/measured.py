"""What was measured of an arm's trainings beside their errors: means over its seeds.

Works on the seeds of an arm. Knows nothing of rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from study.results.arms import ArmSeeds


@dataclass(frozen=True)
class Measured:
    """Means over the seeds that have the value; None where none has it.

    Attributes:
        logit_rms: root mean square of the teachers' logits.
        noise_rms: root mean square of the perturbation of a logit.
        teacher_agreement: share of validation images on which student and teachers choose the same class, in [0, 1].
    """

    logit_rms: float | None
    noise_rms: float | None
    teacher_agreement: float | None

    @property
    def relative_noise(self) -> float | None:
        """The size of the noise in units of the logits."""
        if self.noise_rms is None or not self.logit_rms:
            return None
        return self.noise_rms / self.logit_rms


def measured_of(seeds: ArmSeeds) -> Measured:
    """What was measured of the completed trainings. A row that lost a seed has no agreement, as it has no error."""
    completed = list(seeds.completed.values())
    return Measured(
        _mean(trial.logit_rms for trial in completed),
        _mean(trial.noise_rms for trial in completed),
        None if seeds.lost else _mean(trial.teacher_agreement for trial in completed),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
