"""`status`: how far studies are."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from study.disk import bytes_below
from study.errors import UserError
from study.lookup import local_studies, running_studies, tracking_uri_of, tracking_uris_of
from study.storage import DEFAULT_ROOT, StudyFolder
from study.terminal.cli.options import JsonOption, complete_study
from study.terminal.cli.output import print_json, standard_output

SHARED = ("teachers", "logits")
"""The folders that all studies share."""


def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="a study's name; without it, all studies", autocompletion=complete_study),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="print the state every two seconds until the study ends")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show trials done, running, pruned and failed, the best so far, and the free disk space.

    Example: noisy-study status quickstart --watch
    """
    from study.results.status import progress_of, study_status, watch_status

    # One study is read where the environment says. All studies of this folder are read where each was started.
    uris = {name: tracking_uri_of(name)} if name is not None else tracking_uris_of(local_studies())
    if not uris:
        raise UserError(f"no studies in {DEFAULT_ROOT / 'studies'}; start one with: noisy-study run quickstart")
    if watch and as_json:
        raise UserError("give --watch or --json, not both")
    if watch:
        watch_status(uris, standard_output(), running=running_studies)
        return
    here = [each for each in local_studies() if each in uris]
    sizes = {each: bytes_below(StudyFolder(DEFAULT_ROOT, each).path) for each in here}
    if not as_json:
        standard_output().print(study_status(uris, running_studies(), sizes))
        return
    disk = {"folder": str(DEFAULT_ROOT.absolute()), "free": shutil.disk_usage(_existing(DEFAULT_ROOT)).free}
    disk |= {each: bytes_below(DEFAULT_ROOT / each) for each in SHARED}
    studies = [each.document() for each in progress_of(uris, running_studies(), sizes)]
    print_json({"studies": studies, "bytes": disk})


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
