"""`ui`: the MLflow UI on the current store."""

from typing import Annotated

import typer

from study.terminal.cli.output import errors
from study.tracking import address as tracking
from study.tracking import server


def ui(
    host: Annotated[str, typer.Option(help="where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="the port", min=1, max=65535)] = 5000,
    auth: Annotated[bool, typer.Option("--auth", help="ask for user and password (docs/security.md)")] = False,
) -> None:
    """Open the MLflow UI on the current store."""
    from study.tracking.view import pages

    uri = tracking.tracking_uri()
    if uri.startswith("http"):
        errors.print(f"the tracking server has its own UI: {tracking.without_credentials(uri)}", highlight=False)
        return
    server.check_host(host, auth)
    variables = server.server_environment(uri, auth)
    address = server.server_address(host, port)
    studies = pages(uri)
    for line in [f"MLflow on {address} (Ctrl-C ends it)", *(f"{name}: {address}/{studies[name]}" for name in studies)]:
        errors.print(line, highlight=False, markup=False, soft_wrap=True)
    server.serve(host, port, variables, auth)
