"""`ls` and `cp`: list the recipes, and copy one to a file."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from search_spaces.library import recipe_names, recipe_text
from study.config import parse_study
from study.errors import UserError
from study.storage import write_whole
from study.terminal.cli.options import JsonOption, complete_recipe
from study.terminal.cli.output import errors, print_json, say, standard_output


def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes, which are study files of this package.

    Example: noisy-study ls
    """
    from study.planning.overview import overview_of

    rows = [asdict(overview_of(name, parse_study(recipe_text(name), name))) for name in recipe_names()]
    if as_json:
        print_json(rows)
        return
    out = standard_output()
    columns = ["name", "dataset", "teachers", "students", "trials", "reproduces"]
    left_out = ["teachers"] * (out.width < 120) + ["students"] * (out.width < 90) + ["reproduces"] * (out.width < 70)
    table = Table(box=None, pad_edge=False)
    for column in (shown := [column for column in columns if column not in left_out]):
        table.add_column("recipe" if column == "name" else column, no_wrap=column == "name")
    for row in rows:
        table.add_row(*(str(row[column]) for column in shown))
    out.print(table)
    if left_out:
        say(f"too wide for this terminal: {', '.join(left_out)}")


def copy_recipe(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe's name", autocompletion=complete_recipe)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the new file")],
) -> None:
    """Copy a recipe to a file that you can edit.

    Example: noisy-study cp quickstart mine.yaml
    """
    text = recipe_text(recipe)
    if os.path.lexists(file):
        raise UserError(f"{file} already exists; choose another name")
    write_whole(file, lambda path: path.write_text(text, encoding="utf-8"))
    errors.print(f"wrote {file}; edit it, then: noisy-study run {file}")
