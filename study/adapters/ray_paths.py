"""Keeps the driver's folders off the import path of Ray's workers.

Works on the `JobConfig` that a driver hands to `ray.init`. Ray appends the driver's working folder and its script's
folder to `sys.path` of every worker. There a user's `models.py` or `search_spaces/` comes before the packages of an
editable install, and the worker imports the wrong module. Written for ray 2.60, whose `JobConfig` keeps these folders
in a private list until it is serialized. With another version the folders stay on the path (`keeps_folders_out` is
false), and a folder that holds such a name is refused instead (`study.shadows`).
"""

from typing import Any

import ray
from ray.job_config import JobConfig

from study.adapters.versions import is_version

WRITTEN_FOR = "2.60"


class _WithoutFolders(JobConfig):
    """A job whose workers have the import path that their Python starts with."""

    def _serialize(self) -> Any:
        self._py_driver_sys_path: list[str] = []
        return super()._serialize()


def keeps_folders_out() -> bool:
    """Whether the private parts are those this adapter was written for."""
    same_version = is_version(ray.__version__, WRITTEN_FOR)
    return same_version and hasattr(JobConfig(), "_py_driver_sys_path") and hasattr(JobConfig, "_serialize")


def job_config() -> JobConfig:
    """For `ray.init`: a job that does not bring the driver's folders to its workers, where that is possible."""
    return _WithoutFolders() if keeps_folders_out() else JobConfig()
