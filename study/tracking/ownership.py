"""Which study a name on a tracking server belongs to, and which folder may write to it.

Works on the tags of an experiment and on what a study's folder keeps (`study.storage.Ownership`). Pure functions; knows
nothing of MLflow.

A study has an id. Every start of it adds a token to the folder and writes the newest token to the server. So a folder
that does not know the server's token is a copy, or was restored from a backup, and the study was started elsewhere
since.
"""

from collections.abc import Mapping

from study.errors import UserError
from study.storage import Ownership
from study.tracking import schema

SHOWN = 8
"""How many characters of an id a message shows."""


def ownership_tags(owner: Ownership) -> dict[str, str]:
    """The tags of the experiment that say whose it is."""
    return {schema.STUDY_ID: owner.study_id, schema.OWNER: f"{owner.tokens[-1]} {owner.place}"}


def refuse_another_owner(tags: Mapping[str, str], owner: Ownership, study: str, where: str) -> None:
    """Refuse a name that belongs to another study, or a study that another folder has resumed.

    Args:
        tags: where the owner is kept: of an experiment, or of a journal. Without an owner, everyone may write.
        owner: of the study's folder.
        study: the study's name.
        where: the server or journal, for the message.

    Raises:
        UserError: somebody else owns it; the message says what to do.
    """
    found = tags.get(schema.STUDY_ID) or owner.study_id
    if found != owner.study_id:
        raise UserError(
            f"{where} has another study named {study} (its id is {found[:SHOWN]}, the id of the study in this folder "
            f"is {owner.study_id[:SHOWN]}); start this study under another name with --name"
        )
    token, _, place = tags.get(schema.OWNER, "").partition(" ")
    if token and token not in owner.tokens:
        raise UserError(
            f"study {study} was resumed in {place} after this folder was copied or restored from a backup; resume it "
            f"there, or start it again under another name with --name. If that folder no longer exists, set the tag "
            f"{schema.OWNER} on {where} to an empty text and resume again"
        )
