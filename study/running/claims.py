"""Whose a journal is: the study's id and its last start, as user attributes of every stage.

Works on Optuna studies. Knows nothing of trials.
"""

import optuna
from optuna.storages import BaseStorage

from study.storage import Ownership
from study.tracking.ownership import ownership_tags, refuse_another_owner


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
