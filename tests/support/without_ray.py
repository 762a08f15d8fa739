"""A plugin of the tests: a study starts for real, except that Ray is not started and nothing is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from study.running import service
from study.running.service import Settings


class Trained(Exception):
    """The study was started, and would train now."""


@pytest.fixture
def settings_without_ray(workspace: Path, own_store: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Where a study would run."""

    @contextmanager
    def no_ray(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(check_fits=lambda resources: None)

    def trained(context: object) -> None:
        raise Trained

    monkeypatch.setattr(service, "ray_engine", no_ray)
    monkeypatch.setattr(service, "check_storage", lambda *_: None)
    monkeypatch.setattr(service, "Pipeline", trained)
    return Settings(own_store, workspace, root=workspace / "root")
