"""What it takes to run a study again: code, versions and data, as tags of its parent run."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

from study.config import StudyConfig
from study.tracking import schema

PACKAGES = ("noisy-teacher-study", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "pandas")


def provenance(config: StudyConfig, data_digest: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parent run's parameters and tags.

    Args:
        config: the resolved study.
        data_digest: SHA-256 of the images, labels and splits.
    """
    params = {
        schema.DATASET: config.data.name,
        "teachers": "+".join(teacher.network for teacher in config.teachers),
        schema.STUDENT: config.student.network,
        "seeds": ",".join(map(str, config.seeds)),
        schema.DATA_DIGEST: data_digest,
    }
    if config.published is not None:
        params[schema.PUBLISHED] = config.published
    if config.search is not None:
        params |= {
            "search_space": config.search.space,
            "sampler": config.search.sampler,
            "scheduler": config.search.scheduler,
            "objectives": ",".join(config.search.objectives),
        }
    if config.baseline.search is not None:
        params[schema.BASELINE_KIND] = _searched_baseline(config)
    tags = {f"noisy_study.version.{package}": version(package) for package in PACKAGES}
    commit = git_commit()
    if commit is not None:
        tags["mlflow.source.git.commit"] = commit
    return params, tags


def _searched_baseline(config: StudyConfig) -> str:
    assert config.search is not None
    return f"searched over {', '.join(config.search.train)} with the budget of the arms' search"


def git_commit() -> str | None:
    """The commit of the checkout this code runs from, or the one its image was made from (`NOISY_STUDY_COMMIT`); None
    for another installed package."""
    if os.environ.get("NOISY_STUDY_COMMIT"):
        return os.environ["NOISY_STUDY_COMMIT"]
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
