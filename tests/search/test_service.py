"""Going on with a study: what must not have changed meanwhile."""

from pathlib import Path

import pytest

from study.config import dump_study, parse_study
from study.data.load import load_dataset
from study.distill.logit_store import file_digest
from study.errors import UserError
from study.search.service import Settings, resume
from study.search.watcher import Watcher
from study.storage import StudyFolder

STUDY = """
name: mine
data: {name: digits}
teachers: [{network: FC10, weights: teacher.safetensors}]
student: {network: FC10}
arms: [{method: noisy_teacher, sigma: 0.5}]
seeds: [0]
"""


def test_students_do_not_go_on_with_another_teacher_than_they_began_with(workspace: Path) -> None:
    weights = workspace / "teacher.safetensors"
    weights.write_bytes(b"one teacher")
    config = parse_study(STUDY, "study.yaml")
    settings = Settings("sqlite:///mlflow.db", workspace)
    folder = StudyFolder(settings.root, config.name)
    digest = load_dataset(config.data, workspace).digest
    began_with = {weights.name: file_digest(weights)}
    folder.claim(dump_study(config), settings.tracking_uri, folder.own_journal, digest, began_with)
    weights.write_bytes(b"another teacher")
    with pytest.raises(
        UserError, match=r"teacher\.safetensors holds other weights than those that study mine began with"
    ):
        resume("mine", settings, Watcher())
