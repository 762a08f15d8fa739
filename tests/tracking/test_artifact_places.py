"""Artifacts of a study whose store was copied or moved: they never go to the original's folder."""

from pathlib import Path

import pytest

from study.errors import UserError
from study.tracking.address import same_address
from study.tracking.artifacts import misplaced, place_of


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "original"
    (folder / "mlruns" / "1").mkdir(parents=True)
    (folder / "mlflow.db").touch()
    return folder


def location(folder: Path) -> str:
    return str(folder / "mlruns" / "1" / "run" / "artifacts")


def test_a_store_writes_beside_itself(original: Path) -> None:
    assert misplaced(f"sqlite:///{original / 'mlflow.db'}", location(original)) is None
    assert misplaced(f"sqlite:///{original / 'mlflow.db'}", f"file://{location(original)}") is None


def test_a_copy_does_not_write_to_the_original(tmp_path: Path, original: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mlflow.db").touch()
    why = misplaced(f"sqlite:///{tmp_path / 'copy' / 'mlflow.db'}", location(original))
    assert why is not None
    assert f"was copied from {original}" in why


def test_a_moved_store_does_not_make_its_old_folder_again(tmp_path: Path, original: Path) -> None:
    original.rename(tmp_path / "moved")
    why = misplaced(f"sqlite:///{tmp_path / 'moved' / 'mlflow.db'}", location(original))
    assert why is not None
    assert f"was moved from {original}" in why


def test_a_store_elsewhere_keeps_its_artifacts_where_they_were(tmp_path: Path, original: Path) -> None:
    """`MLFLOW_TRACKING_URI` may name a file in another folder than the one that a study runs in."""
    (original / "mlflow.db").rename(tmp_path / "shared.db")
    assert misplaced(f"sqlite:///{tmp_path / 'shared.db'}", location(original)) is None


def test_a_database_knows_its_own_places() -> None:
    assert misplaced("postgresql://server/mlflow", "/anywhere/mlruns/1") is None


@pytest.mark.parametrize(
    "location",
    [
        "/home/ada/.ssh",
        "home",
        "file:///home/ada/.ssh",
        "FILE:///home",
        "file://localhost/home",
        "runs:/1/x",
        "models:/m/1",
    ],
)
def test_a_server_names_no_place_on_this_machine(location: str) -> None:
    """Also not through a scheme that leads to another run, whose place the server names too."""
    why = misplaced("http://server:5000", location)
    assert why is not None
    assert "a folder on this machine" in why
    with pytest.raises(UserError, match="a folder on this machine"):
        place_of("https://server:5000", location)


@pytest.mark.parametrize("location", ["mlflow-artifacts:/1", "s3://bucket/1", "gs://bucket/1", "https://store/1"])
def test_a_server_names_a_place_elsewhere(location: str) -> None:
    assert misplaced("http://server:5000", location) is None


def test_artifacts_in_a_bucket_are_nobody_s_folder(original: Path) -> None:
    assert misplaced(f"sqlite:///{original / 'mlflow.db'}", "s3://bucket/mlruns/1") is None


def test_addresses_of_one_sqlite_file_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    same = ("sqlite:///mlflow.db", "sqlite:///./mlflow.db", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert all(same_address(one, other) for one in same for other in same)
    assert not same_address("sqlite:///mlflow.db", "sqlite:///other.db")
    assert not same_address("sqlite:///mlflow.db", "http://server")
    assert same_address("http://server", "http://server")
