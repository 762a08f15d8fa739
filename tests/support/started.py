"""A study that has started and is tracked, and has trained nothing. Made without Ray."""

from study.config import dump_study, parse_study
from study.running.service import Settings
from study.storage import StartRecord, StudyFolder
from study.tracking.client import TrackingClient
from study.tracking.events import StudyBegan

STUDY = """
name: mine
data: {name: digits}
teachers: [{network: FC10}]
student: {network: FC10}
arms: [{method: noisy_teacher, sigma: 0.5}]
seeds: [0]
"""


def started(name: str, settings: Settings) -> StudyFolder:
    """The folder of a new study, with a checkpoint of 1,000 bytes."""
    config = parse_study(STUDY, "study.yaml", name=name)
    folder = StudyFolder(settings.root, name)
    owner = folder.new_ownership()
    folder.claim(
        StartRecord(
            study_file=dump_study(config),
            tracking_uri=settings.tracking_uri,
            journal=settings.optuna_storage or folder.own_journal,
            data_digest="",
            weights={},
            ownership=owner,
        )
    )
    began = StudyBegan(study_file=dump_study(config), params={}, tags={}, datasets=(), start=None)
    TrackingClient(settings.tracking_uri, name, owner).apply([began])
    checkpoint = folder.trial("grid-0000") / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(bytes(1000))
    return folder
