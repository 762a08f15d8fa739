"""What stands around a cluster: the tracking server that all of it reaches, and somebody's laptop."""

import json
import os
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from support.hosts import BIN
from support.mlflow_server import MLflowServer

ROOT = Path(__file__).parents[2]
USER = "ada"
OF_A_PERSON = ("MLFLOW_", "RAY_", "OPTUNA_", "NOISY_STUDY_")
QUIET = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_PERSON)}
HERE = {**QUIET, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}

# Ray holds a node that says nothing for dead after a minute; a test need not wait so long. Its workers are as nice as
# any other process, and a request may take its time: three hosts here have the processors of one machine.
ON_ONE_MACHINE = {
    "RAY_worker_niceness": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
}


@dataclass
class TrackingServer(MLflowServer):
    """MLflow with a login, on PostgreSQL, as the stack in `docker/` starts it.

    Args:
        logins: address of the database that it keeps users in.
        password: of the user `study`, who administers nothing.
        admin_password: of the administrator, which no client has.
    """

    logins: str = ""
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def login(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": "study",
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    def start(self) -> None:
        config = self.folder / "auth.ini"
        config.write_text(
            f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {self.logins}\nadmin_username = {USER}\n"
            f"admin_password = {self.admin_password}\nauthorization_function = "
            "mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        self.options = ("--app-name", "noisy-study-login")
        self.environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "NOISY_STUDY_USER_PASSWORD": self.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        }
        super().start()

    def runs(self, study: str, kind: str = "trial") -> list[Run]:
        """A study's runs; the caller's environment has the login."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(study)
        if experiment is None:
            return []
        return list(client.search_runs([experiment.experiment_id], f"tags.`noisy_study.kind` = '{kind}'"))


@dataclass
class Laptop:
    """Somebody's machine: it reaches the cluster's dashboard and the tracking server, and shares no disk with them."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `noisy-study`."""
        return subprocess.run(
            [str(BIN / "noisy-study"), *words],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def table(self, study: str, **environment: str) -> Any:
        """A study's JSON table."""
        printed = self("table", study, "--format", "json", **environment)
        assert printed.returncode == 0, printed.stderr
        return json.loads(printed.stdout)
