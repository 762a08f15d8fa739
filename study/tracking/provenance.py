"""What it takes to run a study again: code, versions and data, as parameters and tags of its parent run."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from study import environment
from study.config import DataConfig, StudyConfig
from study.data.dataset import Dataset
from study.tracking import schema
from study.tracking.events import DatasetUsed, StudyStart, now_ms

PACKAGES = ("noisy-teacher-study", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "pandas")

DIGEST_LENGTH = 36
"""As much of a digest as MLflow keeps of a dataset's."""


def provenance(config: StudyConfig, data_digest: str, start: StudyStart) -> tuple[dict[str, str], dict[str, str]]:
    """The parent run's parameters and tags.

    Args:
        config: the resolved study.
        data_digest: SHA-256 of the images, labels and splits.
        start: of the study, the first one.
    """
    params = {
        schema.DATASET: config.data.name,
        "teachers": "+".join(teacher.network for teacher in config.teachers),
        schema.STUDENT: config.student.network,
        schema.SEEDS: ",".join(map(str, config.seeds)),
        schema.DATA_DIGEST: data_digest,
    }
    if config.published is not None:
        params[schema.PUBLISHED] = config.published
    if config.search is not None:
        params |= {
            "search_space": config.search.space,
            schema.SAMPLER: config.search.sampler,
            schema.SEARCH_TRIALS: str(config.search.trials),
            schema.STARTUP_TRIALS: str(config.search.startup_trials),
            schema.CONFIRM_TOP: str(config.search.confirm.top),
            "scheduler": config.search.scheduler,
            schema.OBJECTIVES: ",".join(config.search.objectives),
            schema.CONFIRM_SEEDS: ",".join(map(str, config.confirmation_seeds)),
        }
    if config.baseline.search is not None:
        params[schema.BASELINE_KIND] = _searched_baseline(config)
    tags = {f"{schema.VERSION}{package}": number for package, number in start.versions.items()}
    if start.commit is not None:
        tags[schema.COMMIT] = start.commit
    return params, tags


def this_start() -> StudyStart:
    """A start of a study by this process, now."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    return StudyStart(timestamp_ms=now_ms(), versions=versions, commit=git_commit())


def datasets_of(config: DataConfig, dataset: Dataset) -> tuple[DatasetUsed, ...]:
    """The three splits; the digest of each is the beginning of the data digest, which speaks of all of them."""
    source = json.dumps({"tags": {"noisy_study.data": config.model_dump_json(exclude_none=True)}})
    return tuple(
        DatasetUsed(
            name=f"{config.name} {split}",
            digest=dataset.digest[:DIGEST_LENGTH],
            context=context,
            source=source,
            shape=images.shape,
            dtype=str(images.dtype),
            classes=dataset.class_count,
        )
        for split, context, images in (
            ("train", "training", dataset.train.images),
            ("validation", "validation", dataset.validation.images),
            ("test", "testing", dataset.test.images),
        )
    )


def _searched_baseline(config: StudyConfig) -> str:
    assert config.search is not None
    return f"searched over {', '.join(config.search.train)} with the budget of the arms' search"


def git_commit() -> str | None:
    """The commit of the checkout this code runs from, with `-dirty` behind it where files differ from it.

    In an image it is the one that the image was made from (`NOISY_STUDY_COMMIT`); None for another installed package.
    """
    if (given := environment.commit()) is not None:
        return given
    here = Path(__file__)
    try:
        # An installed package may lie in a folder of somebody else's checkout, which then does not keep this file.
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + schema.DIRTY if changed else commit


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
