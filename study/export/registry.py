"""Logs the best student of a study in MLflow, registers it, and makes it champion if it is the best so far.

Works on a student in memory and on MLflow's client. The client has its own addresses, so the tracking server, active
run and registry that a notebook has set do not change. The model is a graph with its weights (`torch.export`): serving
it needs MLflow and PyTorch but not this package, and loading it runs no pickled code.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.adapters.torch_export import cannot_be_traced
from study.errors import UserError
from study.export.student import Probabilities, logits_on
from study.export.weights import OpenedStudent, refuse_another_error
from study.results.row_words import arm_words
from study.tracking import schema
from study.tracking.address import answering, bound_requests
from study.tracking.artifacts import misplaced, place_of
from study.tracking.pages import all_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
"""The alias of the version to serve: `models:/NAME-student@champion`."""

ARTIFACT = "student"
"""The name of the logged model in the study's parent run."""

# Tags of a version. A later version is compared with them.
VAL_ERROR, TEST_ERROR = "best_val_error", "test_error"
DATA_DIGEST, WEIGHTS_DIGEST, TRIAL = "data_digest", "weights_digest", "trial_id"
MODEL = "model_id"  # MLflow's id of the logged model

REQUIREMENTS = ("mlflow", "torch", "numpy")
"""The packages that loading the model needs. MLflow could find them itself, but that takes longer."""


@dataclass(frozen=True)
class Registered:
    """A student in the registry.

    Attributes:
        name: the registered model's name.
        version: its version.
        is_champion: whether it has the alias `champion`.
        is_new: whether it was registered now; False if the same weights were registered before.
        reason: why another version is champion, in one line; None if this one is.
    """

    name: str
    version: str
    is_champion: bool
    is_new: bool
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" + (
            f", {CHAMPION}" if self.is_champion else f"; not {CHAMPION}: {self.reason}"
        )


def model_name(study: str) -> str:
    """The name of a study's registered model."""
    return f"{study}-student"


def register_student(tracking_uri: str, opened: OpenedStudent) -> Registered:
    """Log the student with its study's parent run, register it, and make it champion if it is better than the champion.

    It is better if its validation error is lower on the same images. Errors on different images cannot be compared, so
    the alias then stays. The same weights are registered once.

    Args:
        tracking_uri: the address of an MLflow server, or `sqlite:///FILE`; it is also the registry.
        opened: the student.

    Raises:
        UserError: the student has another test error than the tracked one; or the server does not answer, refuses, or
            has no such study.
    """
    name = model_name(opened.choice.study)
    refuse_another_error(opened, logits_on(opened.student, opened.images))
    bound_requests()
    with answering(tracking_uri):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        found = _versions(client, name)
        same = next((each for each in found if each.tags.get(WEIGHTS_DIGEST) == opened.weights_digest), None)
        champion = _champion(client, name, found)
        if same is None:
            _refuse_another_place(client, tracking_uri, opened.choice.run_id)
        registered = same or _log(client, tracking_uri, name, opened)
        _mark_as_registered(client, name, registered)
        reason = _why_not(opened, champion, registered)
        if reason is None:
            client.set_registered_model_alias(name, CHAMPION, registered.version)
        return Registered(name, str(registered.version), reason is None, same is None, reason)


def _refuse_another_place(client: "MlflowClient", tracking_uri: str, run_id: str) -> None:
    if (why_not := misplaced(tracking_uri, client.get_run(run_id).info.artifact_uri)) is not None:
        raise UserError(why_not)


def _why_not(opened: OpenedStudent, champion: "ModelVersion | None", candidate: "ModelVersion") -> str | None:
    """Why a student does not become champion; None if it does."""
    if champion is None or champion.version == candidate.version:
        return None
    if champion.tags.get(DATA_DIGEST) != opened.data_digest:
        return f"version {champion.version} was measured on other images, so the two cannot be compared"
    error = float(champion.tags.get(VAL_ERROR, "nan"))
    if opened.choice.val_error < error:
        return None
    return (
        f"version {champion.version} has a validation error of {error * 100:.2f} %, "
        f"this one {opened.choice.val_error * 100:.2f} %"
    )


def _versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    return list(all_of(lambda token: client.search_model_versions(f"name = '{name}'", page_token=token)))


def _champion(client: "MlflowClient", name: str, found: "list[ModelVersion]") -> "ModelVersion | None":
    if not found:
        return None
    aliases: Mapping[str, str] = client.get_registered_model(name).aliases
    return next((each for each in found if str(each.version) == str(aliases.get(CHAMPION))), None)


def _log(client: "MlflowClient", tracking_uri: str, name: str, opened: OpenedStudent) -> "ModelVersion":
    """Log the model with the study's parent run, with its trial's parameters, and make a version of it.

    A process that was killed may have done any of the steps already. They are not repeated.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    choice = opened.choice
    trial = client.get_run(choice.run_id)
    parent = trial.data.tags.get(schema.PARENT, choice.run_id)
    facts = {
        TRIAL: choice.trial_id,
        VAL_ERROR: str(choice.val_error),
        TEST_ERROR: str(choice.test_error),
        DATA_DIGEST: opened.data_digest,
        WEIGHTS_DIGEST: opened.weights_digest,
    }
    logged = _left_model(client, trial, opened) or _new_model(client, tracking_uri, trial, parent, facts, opened)
    now = int(trial.info.end_time or trial.info.start_time)
    client.log_batch(
        parent,
        metrics=[
            Metric(f"student.{key}", value, now, 0, model_id=logged.model_id)
            for key, value in ((VAL_ERROR, choice.val_error), (TEST_ERROR, choice.test_error))
        ],
        synchronous=True,
    )
    outputs = client.get_run(parent).outputs
    if logged.model_id not in {each.model_id for each in (outputs.model_outputs if outputs else ())}:
        client.log_outputs(parent, [LoggedModelOutput(logged.model_id, step=0)])
    if not any(model.name == name for model in client.search_registered_models(f"name = '{name}'")):
        client.create_registered_model(
            name, description=f"The best student of study {choice.study}, chosen by validation error."
        )
    registered: ModelVersion = client.create_model_version(
        name,
        # The folder, and not `models:/ID`: a SQLite registry would look up the id on the process's tracking server.
        source=logged.artifact_location,
        run_id=parent,
        tags={**facts, MODEL: logged.model_id},
        description=f"{choice.row.arm.student}: {arm_words(choice.row)}, seed {choice.seed}; trial {choice.trial_id}.",
        model_id=logged.model_id,
    )
    return registered


def _left_model(client: "MlflowClient", trial: "Run", opened: OpenedStudent) -> "LoggedModel | None":
    """The whole model that a killed process logged and did not register. Models that are not whole are deleted."""
    from mlflow.entities import LoggedModelStatus

    left = client.search_logged_models(
        [trial.info.experiment_id], filter_string=f"tags.`{WEIGHTS_DIGEST}` = '{opened.weights_digest}'"
    )
    whole = [model for model in left if model.status == LoggedModelStatus.READY]
    for model in [*(model for model in left if model not in whole), *whole[1:]]:
        client.delete_logged_model(model.model_id)
    return whole[0] if whole else None


def _new_model(
    client: "MlflowClient",
    tracking_uri: str,
    trial: "Run",
    parent: str,
    facts: Mapping[str, str],
    opened: OpenedStudent,
) -> "LoggedModel":
    """Log the student as a new model with all its files."""
    from mlflow.entities import LoggedModelStatus

    logged = client.create_logged_model(
        trial.info.experiment_id,
        name=ARTIFACT,
        source_run_id=parent,
        tags=dict(facts),
        params={key: value for key, value in trial.data.params.items() if len(value) <= 500},
    )
    try:
        with tempfile.TemporaryDirectory(prefix="noisy-study-model-") as temporary:
            folder = Path(temporary) / "model"
            _save(opened, folder, run_id=parent, model_id=logged.model_id)
            place_of(tracking_uri, str(logged.artifact_location)).log_artifacts(str(folder))
    except BaseException:
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _mark_as_registered(client: "MlflowClient", name: str, registered: "ModelVersion") -> None:
    """Write the tag from which MLflow's page of a model shows its registration. MLflow's client does not write it."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    versions = [{"name": name, "version": registered.version}]
    if MODEL in registered.tags:
        client.set_logged_model_tags(registered.tags[MODEL], {MLFLOW_MODEL_VERSIONS: json.dumps(versions)})


def _save(opened: OpenedStudent, folder: Path, run_id: str, model_id: str) -> None:
    """Write an MLflow model to disk. It takes raw images and returns class probabilities.

    Raises:
        UserError: the network cannot be traced.
    """
    import mlflow.pytorch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = TensorSpec(np.dtype(np.uint8), (-1, *opened.input_shape))
    outputs = TensorSpec(np.dtype(np.float32), (-1, len(opened.classes)))
    try:
        mlflow.pytorch.save_model(
            Probabilities(opened.student).eval(),
            path=str(folder),
            mlflow_model=Model(run_id=run_id, model_id=model_id, metadata={"classes": list(opened.classes)}),
            serialization_format="pt2",
            # Two images: with one, the traced graph would accept only batches of one.
            input_example=opened.images[:2],
            signature=ModelSignature(Schema([inputs]), Schema([outputs])),
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in REQUIREMENTS],
        )
    except cannot_be_traced() as error:
        raise UserError(f"this network cannot be traced ({' '.join(str(error).split())[:200]})") from None
