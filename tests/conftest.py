"""What all tests share: silence, and a store for each that needs one."""

import os
from pathlib import Path

import pytest

from study.tracking.address import bound_requests

bound_requests()
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with no address or data root from outside."""
    for name in ("MLFLOW_TRACKING_URI", "NOISY_STUDY_DATA", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
