"""Whether this folder may resume a study: a name has one study, and a study is resumed in one folder.

Works on a study's folder, the folder that it may be a copy of, and the tracking server. Writes nothing.
"""

from filelock import Timeout

from study.errors import TrackingUnavailable, UserError
from study.locks import file_lock
from study.storage import Ownership, StartRecord, StudyFolder
from study.tracking.address import store_exists
from study.tracking.client import TrackingClient


def resumed_ownership(folder: StudyFolder, record: StartRecord, tracking_uri: str) -> Ownership:
    """What a folder knows of its study's owner, with one start more.

    A tracking server that does not answer is not asked: it refuses what is delivered later.

    Raises:
        UserError: the name belongs to another study, another folder has resumed the study since this one was copied,
            or the original of this copy runs now.
    """
    known = record.ownership or folder.new_ownership()  # folders that were made before there was an owner have none
    _refuse_running_original(folder, known)
    try:
        if store_exists(tracking_uri):
            TrackingClient(tracking_uri, folder.name, known).find_study()
    except TrackingUnavailable:
        return known.started_in(folder)  # the server is asked again before the first delivery
    return known.started_in(folder)


def _refuse_running_original(folder: StudyFolder, known: Ownership) -> None:
    if (original := known.original(folder)) is None:
        return
    lock = file_lock(original / folder.lock.name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{folder.path} is a copy of {original}, and study {folder.name} is being run there now; resume it there, "
            "or start it in this folder under another name with --name"
        ) from None
    except (OSError, NotImplementedError):  # of a file system without locks
        return  # or a folder of another user: it is refused as soon as the server has the token of this start
    lock.release()
