"""How a trial is called and described on the tracking server.

Pure functions from a `TrialConfig` to names and parameters.
"""

import json
from dataclasses import dataclass

from study.config import TrialConfig, Uniform
from study.tracking import schema


@dataclass(frozen=True)
class Cost:
    """What one forward pass of one image costs, and how large the network is."""

    multiplications: int
    parameters: int


def run_name(trial: TrialConfig) -> str:
    """A name for people: `σ=0.80 α=0.15 seed 1`, `baseline seed 1`, `teacher nin`."""
    if trial.role == "teacher":
        return f"teacher {trial.network} seed {trial.seed}"
    if trial.role == "baseline":
        return f"baseline seed {trial.seed}"
    words = [] if trial.method == "noisy_teacher" else [trial.method.replace("_", " ")]
    if trial.temperature is not None:
        words.append(f"τ={trial.temperature:g}")
    if trial.alpha > 0 or trial.method in ("noisy_teacher", "noisy_student"):
        words += [f"σ={_short(trial.sigma)}", f"α={trial.alpha:.2f}"]
    if trial.noise == "frozen":
        words.append("frozen")
    return " ".join([*words, f"seed {trial.seed}"])


def run_params(trial: TrialConfig, dataset: str, student: Cost, teachers: Cost | None) -> dict[str, str]:
    """Every parameter of a run, as MLflow keeps them: text.

    Args:
        trial: the training.
        dataset: the dataset's name.
        student: cost of the network that is trained (for a teacher run: the teacher).
        teachers: summed cost of its teachers, None where there are none.
    """
    params: dict[str, object] = {
        schema.DATASET: dataset,
        schema.STUDENT: trial.network,
        schema.METHOD: trial.method,
        schema.SIGMA: json.dumps(list(trial.sigma.uniform)) if isinstance(trial.sigma, Uniform) else trial.sigma,
        schema.SIGMA_MODE: "uniform" if isinstance(trial.sigma, Uniform) else "fixed",
        schema.NOISE: trial.noise,
        schema.ALPHA: trial.alpha,
        schema.SEED: trial.seed,
        schema.MULTIPLICATIONS: student.multiplications,
        schema.PARAMETERS: student.parameters,
    }
    if trial.role == "teacher":
        params[schema.TEACHER] = params.pop(schema.STUDENT)
        for name in (schema.SIGMA, schema.SIGMA_MODE, schema.NOISE, schema.ALPHA):
            del params[name]
    else:
        params[schema.TEACHER] = "+".join(teacher.network for teacher in trial.teachers)
    if teachers is not None:
        params[schema.TEACHER_MULTIPLICATIONS] = teachers.multiplications
    for setting in ("weights", "temperature", "hard_loss_weight"):
        if (value := getattr(trial, setting)) is not None:
            params[setting] = value
    params |= trial.train.model_dump()
    return {name: str(value) for name, value in params.items()}


def _short(sigma: float | Uniform) -> str:
    return f"U[{sigma.low:g},{sigma.high:g}]" if isinstance(sigma, Uniform) else f"{sigma:.2f}"
