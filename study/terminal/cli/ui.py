"""`ui`: the MLflow UI on the current store."""

import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from study.terminal.cli.output import errors
from study.tracking import address as tracking
from study.tracking import server
from study.tracking.credentials import without_credentials

OPEN = "--no-auth: every user of this machine can now read and change every run of this store"


def ui(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="the port to listen on", min=1, max=65535)] = 5000,
    auth: Annotated[
        bool | None,
        typer.Option(
            "--auth/--no-auth",
            help="require a user and a password (--auth), or nothing (--no-auth); without either, require the token of "
            "the printed link (docs/security.md)",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the trials in a browser, on MLflow's pages.

    Example: noisy-study ui --port 5001
    """
    from study.tracking.view import pages

    uri = tracking.tracking_uri()
    if uri.startswith("http"):
        errors.print(f"the tracking server has its own UI: {without_credentials(uri)}")
        return
    access: server.Access = "token" if auth is None else "login" if auth else "open"
    server.check_host(host, access)
    token = server.new_token() if access == "token" else None
    variables = server.server_environment(uri, access, token)
    server.check_port(host, port)
    file = server.token_file(port)
    with nullcontext() if token is None else server.kept_token(file, token):
        address, studies = server.server_address(host, port), pages(uri)
        shown = token is not None and not server.others_can_read(_descriptor())
        start = f"{address}/?token={token}" if shown else f"{address}/"
        lines = [f"MLflow on {start} (Ctrl-C stops it)", *(f"{name}: {start}{studies[name]}" for name in studies)]
        if token is not None:
            lines.append(f"programs: export MLFLOW_TRACKING_URI={address} MLFLOW_TRACKING_TOKEN=$(cat {file})")
        if token is not None and not shown:
            lines.append(
                "other users can read this output, so the links have no token: open the first address with the token "
                f"once, {address}/?token=$(cat {file}), then the links"
            )
        if access == "open":
            lines.append(OPEN)
        for line in lines:
            errors.print(line, soft_wrap=True)
        server.serve(host, port, variables, access)


def _descriptor() -> int:
    """The descriptor of standard error; -1 if it is closed or is no file."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return -1
