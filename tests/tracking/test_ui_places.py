"""Which places MLflow's server reads and writes artifacts in."""

from pathlib import Path

import pytest

from study.tracking.ui_places import is_within


def test_a_folder_below_a_place_is_within_it(tmp_path: Path) -> None:
    place = tmp_path / "mlruns" / "1"
    assert is_within(str(place), str(place))
    assert is_within(str(place / "run" / "artifacts"), str(place))
    assert is_within(f"file://{place}/run", str(place))
    assert not is_within(str(tmp_path / "mlruns" / "11"), str(place))
    assert not is_within(str(place / ".." / "2"), str(place))


def test_a_link_leads_out_of_a_place(tmp_path: Path) -> None:
    """A user who can write to the place may put a link there."""
    (tmp_path / "place" / "run").mkdir(parents=True)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "place" / "run" / "artifacts").symlink_to(tmp_path / "home" / ".ssh")
    assert not is_within(str(tmp_path / "place" / "run" / "artifacts"), str(tmp_path / "place"))


def test_a_place_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "mlruns").mkdir(parents=True)
    (tmp_path / "mlruns").symlink_to(tmp_path / "disk" / "mlruns")
    assert is_within(str(tmp_path / "mlruns" / "1"), str(tmp_path / "mlruns"))


@pytest.mark.parametrize(
    ("location", "within"),
    [
        ("s3://bucket/studies/1", True),
        ("s3://bucket/studies", True),
        ("s3://bucket/studies-of-others", False),
        ("s3://other/studies/1", False),
        ("s3://bucket/studies/../secrets", False),
        ("/bucket/studies/1", False),
    ],
)
def test_an_address_is_within_another_one_by_its_words(location: str, within: bool) -> None:
    assert is_within(location, "s3://bucket/studies") is within
