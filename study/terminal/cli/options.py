"""The arguments and options that several commands share, and what the shell completes for them."""

from pathlib import Path
from typing import Annotated

import typer

from search_spaces.library import recipe_names
from study.environment import RAY_ADDRESS, RAY_API_SERVER_ADDRESS
from study.lookup import local_studies


def complete_recipe(incomplete: str) -> list[str]:
    """The recipes whose names begin so."""
    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_study(incomplete: str) -> list[str]:
    """The studies of this folder whose names begin so."""
    return [name for name in local_studies() if name.startswith(incomplete)]


StudyArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE|FILE", help="a recipe's name, or a study file", autocompletion=complete_recipe),
]
OptionalStudyArgument = Annotated[
    str | None,
    typer.Argument(metavar="RECIPE|FILE", help="a recipe's name, or a study file", autocompletion=complete_recipe),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="a study's name", autocompletion=complete_study)]
NameOption = Annotated[str | None, typer.Option(help="a name for the study, instead of the name in the file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="change the study file: a dotted key and a YAML value; can be repeated",
    ),
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="the folder of data sets; missing ones are downloaded to it [env: NOISY_STUDY_DATA]"
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="a running Ray cluster; without it, a local Ray is started", envvar=RAY_ADDRESS),
]
JobsAddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        help="a cluster's dashboard, http://HOST:8265",
        envvar=[RAY_API_SERVER_ADDRESS, RAY_ADDRESS],
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="ID", help="a job's id, as `submit` and `jobs` print it")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="show the messages of Ray and MLflow too")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
