"""The first start of a study whose tracking server answers, and then takes nothing."""

from typing import Any

import pytest
from support.started import STUDY
from support.without_ray import Trained

from study.config import parse_study
from study.errors import StudyFailed, TrackingUnavailable, UserError
from study.running import service
from study.running.service import Settings, resume, start
from study.running.watcher import Watcher
from study.storage import StudyFolder
from study.tracking.client import TrackingClient

AWAY = "the tracking server does not answer (permission denied for table experiments)"


class Says(Watcher):
    """Keeps what a study says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def says(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def settings(settings_without_ray: Settings) -> Settings:
    return settings_without_ray


def _takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(client: TrackingClient, events: Any) -> None:
        raise TrackingUnavailable(AWAY)

    monkeypatch.setattr(TrackingClient, "apply", refuse)


def test_another_address_can_be_given_with_the_same_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was tracked or trained, so no study was created."""
    config = parse_study(STUDY, "study.yaml")
    with monkeypatch.context() as only_here:
        _takes_nothing(only_here)
        with pytest.raises(UserError, match="permission denied") as refused:
            start(config, settings, Watcher())
    assert not isinstance(refused.value, StudyFailed)
    assert not StudyFolder(settings.root, config.name).path.exists()
    with pytest.raises(Trained):
        start(config, settings, Watcher())


def test_a_study_that_the_server_has_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be resumed when the server answers again."""
    config = parse_study(STUDY, "study.yaml")
    monkeypatch.setattr(service, "_refuse_tracked_name", lambda *_: None)
    monkeypatch.setattr(TrackingClient, "find_study", lambda client: "a run")
    _takes_nothing(monkeypatch)
    with pytest.raises(StudyFailed, match="permission denied"):
        start(config, settings, Watcher())
    assert StudyFolder(settings.root, config.name).exists()


def test_a_study_that_is_interrupted_before_it_begins_says_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is not tracked, because the server does not have its begin. A resume begins it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    config, watcher = parse_study(STUDY, "study.yaml"), Says()
    with monkeypatch.context() as only_here:
        only_here.setattr(service, "provenance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start(config, settings, watcher)
    assert watcher.lines == []
    with pytest.raises(Trained):
        resume(config.name, settings, Watcher())
    assert TrackingClient(settings.tracking_uri, config.name).find_study() is not None
