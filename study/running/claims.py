"""Whose a journal is, and the seeds that its first start fixed, as user attributes of the stages.

Works on Optuna studies. Knows nothing of trials.
"""

from collections.abc import Sequence

import optuna
from optuna.storages import BaseStorage

from study.errors import UserError
from study.storage import Ownership
from study.tracking.ownership import ownership_tags, refuse_another_owner

SEEDS = "seeds"
"""User attribute of the stages search and confirm: their seeds."""


def claim_journal(storage: BaseStorage, study: str, owner: Ownership) -> None:
    """Write down in every stage of a study whose it is; stages that were made before there was an owner get one.

    Raises:
        UserError: the journal belongs to another study of this name, or another folder has resumed the study.
    """
    for name in optuna.get_all_study_names(storage):
        if name.rpartition(".")[0] == study:
            claim_stage(optuna.load_study(study_name=name, storage=storage), study, owner)


def claim_stage(stage: optuna.Study, study: str, owner: Ownership) -> None:
    """Write down in one stage of a study whose it is.

    Raises:
        UserError: as `claim_journal`.
    """
    found = stage.user_attrs
    refuse_another_owner(found, owner, study, f"the stage {stage.study_name} in the journal")
    for name, value in ownership_tags(owner).items():
        if found.get(name) != value:
            stage.set_user_attr(name, value)


def fix_seeds(stage: optuna.Study, seeds: Sequence[int]) -> None:
    """Write down the seeds of a search or a confirmation. Later calls may only add seeds behind them.

    Raises:
        UserError: the stage has other seeds.
    """
    before: list[int] = stage.user_attrs.get(SEEDS, [])
    if before != list(seeds[: len(before)]):
        raise UserError(
            f"the stage {stage.study_name} in the journal has the seeds {before}, and the study has {list(seeds)}; "
            "restore the study's folder or its journal from a backup"
        )
    if len(before) < len(seeds):
        stage.set_user_attr(SEEDS, list(seeds))
