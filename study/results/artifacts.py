"""Files that a study's parent run keeps, read back."""

import tempfile
from pathlib import Path

from study.errors import UserError
from study.tracking import schema
from study.tracking.address import answering, store_exists


def read_study_file(tracking_uri: str, run_id: str) -> str:
    """The resolved study file of a tracked study.

    Args:
        tracking_uri: of an MLflow server, or `sqlite:///FILE`.
        run_id: of the study's parent run.

    Raises:
        UserError: the server does not answer, or has no such run or file.
    """
    from mlflow import MlflowClient

    if not store_exists(tracking_uri):
        raise UserError(f"there is no tracking store {tracking_uri}: no study was run here yet")
    with answering(tracking_uri):
        client = MlflowClient(tracking_uri)
        run = client.get_run(run_id)
        if run.data.tags.get(schema.KIND) != "study":
            raise UserError(f"run {run_id} is not a study but a {run.data.tags.get(schema.KIND)}; give its parent run")
        # By the client and not by the artifact's address: where the server serves it, that does not say which server.
        with tempfile.TemporaryDirectory(prefix="noisy-study-artifact-") as folder:
            file = client.download_artifacts(run_id, schema.STUDY_FILE, folder)
            return Path(file).read_text(encoding="utf-8")
