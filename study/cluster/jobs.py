"""Jobs on a running Ray cluster, through Ray's own job API.

Works on an address, a shipment and job ids. A job is `noisy-study run` on the cluster with the shipment as its
working folder. Everything else that it needs (storage, tracking server, passwords) comes from the environment of the
cluster and is never sent with a job. Knows nothing of what is in a study.
"""

import logging
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from study import environment
from study.adapters.ray_jobs import job_client
from study.cluster.shipment import STUDY_FILE, Shipment
from study.config import nearest
from study.errors import StudyFailed, UserError
from study.plain import plain, plain_lines
from study.tracking.credentials import check_address, redacted_message, without_credentials

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""The address of the job API on a head node, and the local address with `kubectl port-forward` or `ray dashboard`."""

STUDY = "noisy_study.name"
"""Key of a job's metadata: the study's name."""

_TIME_TO_STOP = {"RAY_JOB_STOP_WAIT_TIME_S": "15"}
"""Seconds between Ray's SIGTERM to a job and its SIGKILL. Ray's default is 3. A study may need ten to stop cleanly."""

ENTRYPOINT = f"noisy-study run {STUDY_FILE} {{}} --address auto"
"""The command of a job, with `--resume` or `--extend`."""

CONNECT_SECONDS, ANSWER_SECONDS = 5, 60
POLL_SECONDS, PATIENCE_SECONDS = 1.0, 60.0
"""Seconds between two reads of the log of a job that is followed, and how many seconds a cluster may not answer."""


@dataclass(frozen=True)
class Job:
    """A study's job as the cluster reports it.

    Args:
        id: the job's id.
        study: the study's name.
        status: as Ray names it: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        exit_status: the exit status of its command; None if the command did not end by itself.
        message: why it failed, if its command never ran or its process died.
        started, ended: the times of its start and its end; None if they are not known.
    """

    id: str
    study: str
    status: str
    exit_status: int | None
    message: str
    started: datetime | None
    ended: datetime | None

    def as_json(self) -> dict[str, str | int | None]:
        """Plain values for JSON. Times are in ISO 8601."""
        return {
            "id": self.id,
            "study": self.study,
            "status": self.status.lower(),
            "exit_status": self.exit_status,
            "started": None if self.started is None else self.started.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
        }

    @property
    def is_over(self) -> bool:
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


class Jobs:
    """The studies' jobs of one cluster.

    Args:
        address: of the cluster's dashboard, `http://HOST:8265`. Ray itself reads the token
            (`RAY_AUTH_MODE` and `RAY_AUTH_TOKEN`).

    Raises:
        UserError: raised by every method, if no cluster answers, the token is refused, or there is no such job.
    """

    def __init__(self, address: str) -> None:
        check_address("the address of the cluster", address)
        self.shown = without_credentials(address.rstrip("/"))
        if not address.startswith(("http://", "https://")):
            raise UserError(
                f"--address {self.shown}: expected the address of a cluster's dashboard, for instance {DEFAULT_ADDRESS}"
            )
        self.address = address.rstrip("/")
        with self._answering():
            self._client = _client(self.address)

    def submit(self, shipment: Shipment) -> str:
        """Submit a study.

        Returns:
            the job's id.
        """
        name = shipment.study.name
        with tempfile.TemporaryDirectory(prefix="noisy-study-submit-") as folder, self._answering():
            shipment.write(Path(folder))
            return str(
                self._client.submit_job(
                    entrypoint=ENTRYPOINT.format("--extend" if shipment.extends else "--resume"),
                    submission_id=f"{name}-{secrets.token_hex(4)}",
                    runtime_env={"working_dir": folder, "env_vars": {environment.JOB: "1", **_TIME_TO_STOP}},
                    metadata={STUDY: name},
                )
            )

    def list(self) -> list[Job]:
        """The cluster's jobs that run studies, oldest first."""
        with self._answering():
            found = self._client.list_jobs()
        jobs = [_job(details) for details in found if STUDY in (details.metadata or {})]
        return sorted(jobs, key=lambda job: (job.started is None, job.started, job.id))

    def get(self, job_id: str) -> Job:
        """One job."""
        with self._answering():
            try:
                return _job(self._client.get_job_info(job_id))
            except RuntimeError as error:
                if "status code 404" not in str(error):
                    raise
        known = [job.id for job in self.list()]
        hint = nearest(job_id, known) if known else "; no study was submitted there yet"
        raise UserError(f"no job {job_id} at {self.shown}{hint}")

    def logs(self, job_id: str) -> str:
        """The log of a job so far, without control characters that a terminal would obey."""
        self.get(job_id)
        with self._answering():
            return plain_lines(str(self._client.get_job_logs(job_id)))

    def stop(self, job_id: str) -> bool:
        """Stop a job; its study can be resumed.

        Returns:
            whether it was running.
        """
        self.get(job_id)
        with self._answering():
            return bool(self._client.stop_job(job_id))

    def follow(self, job_id: str) -> Iterator[str]:
        """The log of a job as it grows, until the job ends.

        The whole log is read repeatedly, because a study's log is short, and because an open connection does not notice
        when the other side is gone.

        Raises:
            StudyFailed: the cluster has not answered for a minute; the job may still be running.
        """
        self.get(job_id)
        printed, answered_at = 0, time.monotonic()
        while True:
            try:
                over = self.get(job_id).is_over
                log = self.logs(job_id)
            except UserError as error:
                if time.monotonic() - answered_at > PATIENCE_SECONDS:
                    raise StudyFailed(f"{error}; if the job still runs: noisy-study logs {job_id} --follow") from None
            else:
                answered_at = time.monotonic()
                if len(log) > printed:
                    yield log[printed:]
                    printed = len(log)
                if over:
                    return
            time.sleep(POLL_SECONDS)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn every error of Ray's client into one line, which never contains the token."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            what = "requires a token" if "required" in str(error).lower() else "refuses the token"
            raise UserError(
                f"the cluster at {self.shown} {what}: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to its token"
            ) from None
        except requests.Timeout:
            raise UserError(f"the cluster at {self.shown} does not answer; is it Ray's dashboard?") from None
        except ImportError as error:
            raise UserError(f"jobs need Ray's job API ({error}): pip install 'noisy-teacher-study[cluster]'") from None
        except ConnectionError:
            raise UserError(
                f"no Ray cluster answers at {self.shown}; give the address of its dashboard with --address or "
                "RAY_API_SERVER_ADDRESS (the cluster needs ray[default])"
            ) from None
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"the cluster at {self.shown} refuses the request: {redacted_message(error, self.address)}"
            ) from None


def check_job_environment() -> None:
    """Check, in a job, that its results are stored outside of the job's working folder.

    Ray deletes the working folder of a job, and a resumed job may run on another node.

    Raises:
        UserError: this is a job, and the cluster's environment names no shared folder or no tracking server.
    """
    if not environment.is_job():
        return
    tracking = environment.tracking_uri()
    if not environment.study_root().is_absolute():
        raise UserError(
            "the cluster's environment does not name the folder of the studies: start Ray with NOISY_STUDY_ROOT, a "
            "folder that every node can read and write"
        )
    if tracking is None or tracking.startswith("sqlite") or not urlsplit(tracking).scheme:
        raise UserError(
            "the cluster's environment names no tracking server: start Ray with MLFLOW_TRACKING_URI, the address of one"
        )


def _client(address: str) -> "JobSubmissionClient":
    import ray.job_submission  # noqa: F401 - the import sets the level of some of its loggers, which change below

    sdk = ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk")
    for name in (*sdk, "_private.authentication", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{name}").setLevel(logging.CRITICAL + 1)

    def timeout(endpoint: str) -> tuple[float, float]:
        return CONNECT_SECONDS, CONNECT_SECONDS if endpoint == "/api/version" else ANSWER_SECONDS

    # Ray's client uses the address in the environment, even if it has an argument.
    with environment.restored(environment.RAY_API_SERVER_ADDRESS):
        os.environ[environment.RAY_API_SERVER_ADDRESS] = address
        return job_client(address, timeout)


def _job(details: Any) -> Job:
    return Job(
        id=plain(str(details.submission_id)),
        study=plain(str((details.metadata or {}).get(STUDY, ""))),
        status=plain(str(getattr(details.status, "value", details.status))),
        exit_status=details.driver_exit_code,
        message=plain(" ".join((details.message or "").split())),
        started=_time(details.start_time),
        ended=_time(details.end_time),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
