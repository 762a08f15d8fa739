"""Provenance: the code, the versions and the data of a study, as parameters and tags of its parent run."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from study import environment
from study.config import DataConfig, StudyConfig
from study.data.dataset import Dataset
from study.planning.growth import confirmation_rounds, grid_rounds
from study.tracking import schema
from study.tracking.events import DatasetUsed, StudyStart, now_ms

PACKAGES = ("noisy-teacher-study", "torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "pandas")

DIGEST_LENGTH = 36
"""The longest digest that MLflow keeps of a dataset, in characters."""


def provenance(config: StudyConfig, data_digest: str, start: StudyStart) -> tuple[dict[str, str], dict[str, str]]:
    """The parent run's parameters and tags.

    Args:
        config: the resolved study.
        data_digest: SHA-256 of the images, labels and splits.
        start: the first start of the study.
    """
    params = {
        schema.DATASET: config.data.name,
        "teachers": "+".join(teacher.network for teacher in config.teachers),
        schema.STUDENT: config.student.network,
        schema.SEEDS: ",".join(map(str, config.seed_list)),
        schema.DATA_DIGEST: data_digest,
    }
    if config.published is not None:
        params[schema.PUBLISHED] = config.published
    if config.varies_teacher:
        params[schema.VARY] = ",".join(config.vary)
    if config.smallest_effect is not None:
        params[schema.SMALLEST_EFFECT] = f"{config.smallest_effect:g}"
    for name, rounds in (
        (schema.SEED_ROUNDS, grid_rounds(config)),
        (schema.CONFIRM_ROUNDS, confirmation_rounds(config)),
    ):
        if rounds is not None:
            params[name] = ",".join(map(str, rounds.ends))
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
    """The start or resume that happens now, in this process."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    return StudyStart(timestamp_ms=now_ms(), versions=versions, commit=git_commit())


def datasets_of(config: DataConfig, dataset: Dataset) -> tuple[DatasetUsed, ...]:
    """The three splits as MLflow describes them. Each has the beginning of the same data digest, which covers all
    three."""
    source = json.dumps({"tags": {schema.DATA: config.model_dump_json(exclude_none=True)}})
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
    """The git commit of this code, followed by `-dirty` if files differ from it.

    In a Docker image it is the commit that the image was built from (`NOISY_STUDY_COMMIT`). For a package that was
    installed in another way it is None.
    """
    if (given := environment.commit()) is not None:
        return given
    here = Path(__file__)
    try:
        # An installed package may be in a folder of another project's checkout. That one does not track this file.
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + schema.DIRTY if changed else commit


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
