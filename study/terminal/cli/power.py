"""`power`: how many seeds a study needs to detect an improvement."""

import json
import os
from typing import Annotated

import typer

from study.lookup import local_studies, study_of, tracking_uri_of
from study.plain import plain_lines
from study.terminal.cli.output import say


def power(
    reference: Annotated[str, typer.Argument(metavar="NAME|FILE", help="a study, a recipe or a study file")],
    effect: Annotated[
        float, typer.Option("--effect", min=0.01, max=99, help="the size of the improvement, in per cent")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print how many seeds, trainings and hours would detect an improvement of a given size.

    Example: noisy-study power quickstart --effect 5
    """
    from study.results import power as results

    config = None
    name = reference
    if reference not in local_studies() and _is_file_or_recipe(reference):
        config = study_of(reference)
        name = config.name
    plans: list[results.Plan] = []
    if config is None or name in local_studies():
        from study.results.read import read_study

        plans = results.plans_of(read_study(tracking_uri_of(name), name), effect)
    if not plans and config is not None and (spread := results.KNOWN.get(config.data.name)) is not None:
        from study.planning.overview import arms_of_students

        plans = results.planned_plans(arms_of_students(config), len(config.seed_list), spread, effect)
    if as_json:
        print(json.dumps(results.as_json(plans), indent=2))  # noqa: T201 - JSON and nothing else
    else:
        print(plain_lines(results.as_text(plans)), end="")  # noqa: T201 - the plans and nothing else
    if not plans:
        say(_pilot(reference, name, effect, known=config is not None))


def _is_file_or_recipe(reference: str) -> bool:
    from search_spaces.library import recipe_names

    return reference in recipe_names() or reference.endswith((".yaml", ".yml")) or os.path.exists(reference)


def _pilot(reference: str, name: str, effect: float, known: bool) -> str:
    if not known:
        return f"{name}: no arm has a spread yet; two seeds or more of an arm and its baseline are needed"
    return (
        f"{name}: the spread over seeds is not known. A pilot measures it: "
        f"noisy-study run {reference} --name {name}-pilot --set 'seeds=[0, 1, 2]' && "
        f"noisy-study power {name}-pilot --effect {effect:g}"
    )
