"""The contract with Ray's private `JobConfig`, and what happens without it."""

import pytest
from ray.core.generated import common_pb2
from ray.job_config import JobConfig

from study.adapters import ray_paths


def _folders(job: JobConfig) -> list[str]:
    """The folders that Ray's `init` adds to a job, as its workers read them."""
    message = vars(common_pb2)["JobConfig"]  # a generated class, which no type checker sees
    job._py_driver_sys_path.extend(["/the/script's/folder", "/the/working/folder"])
    return list(message.FromString(job._serialize()).py_driver_sys_path)


def test_the_installed_ray_is_the_one_this_was_written_for() -> None:
    assert ray_paths.keeps_folders_out()


def test_workers_get_none_of_the_driver_s_folders() -> None:
    assert _folders(JobConfig()) == ["/the/script's/folder", "/the/working/folder"]
    assert _folders(ray_paths.job_config()) == []


def test_another_ray_gets_its_own_job_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.__version__", "2.99.0")
    assert not ray_paths.keeps_folders_out()
    assert type(ray_paths.job_config()) is JobConfig
