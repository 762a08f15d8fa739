"""`export`: the best student as a file that other programs load."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from study import environment
from study.lookup import tracking_uri_of
from study.storage import DEFAULT_ROOT
from study.terminal.cli.options import DataRootOption, NameArgument
from study.terminal.cli.output import say


class ExportFormat(StrEnum):
    """The file format of an exported student."""

    onnx = "onnx"
    torch = "torch"


def export(
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", help="the folder to write to")],
    format: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.onnx,
    int8: Annotated[bool, typer.Option("--int8", help="write an ONNX file with 8-bit weights too")] = False,
    data_root: DataRootOption = None,
) -> None:
    """Test the best student on the whole test set, and write it with its model card.

    Example: noisy-study export quickstart --out student
    """
    from study.export.files import export_student

    root = environment.data_root(data_root)
    done = export_student(tracking_uri_of(name), name, out, DEFAULT_ROOT, root, format.value, int8)
    for line in [*(str(file) for file in done.files), f"wrote {out}; what it is: {done.card}"]:
        say(line)
