"""`status`: how far studies are."""

from typing import Annotated

import typer

from study.errors import UserError
from study.lookup import local_studies, running_studies, tracking_uri_of, tracking_uris_of
from study.storage import DEFAULT_ROOT
from study.terminal.cli.options import complete_study
from study.terminal.cli.output import standard_output


def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="a study's name; all of them without", autocompletion=complete_study),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="again every two seconds, until it is finished")] = False,
) -> None:
    """Show trials done, running, pruned and failed, and the best so far."""
    from study.results.status import study_status, watch_status

    # One study is read where the environment says. All studies of this folder are read where each was started.
    uris = {name: tracking_uri_of(name)} if name is not None else tracking_uris_of(local_studies())
    if not uris:
        raise UserError(f"no studies in {DEFAULT_ROOT / 'studies'}; `noisy-study run quickstart` makes one")
    if watch:
        watch_status(uris, standard_output(), running=running_studies)
    else:
        standard_output().print(study_status(uris, running_studies()))
