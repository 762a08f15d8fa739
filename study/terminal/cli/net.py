"""`net`: what a network consists of and costs."""

import re
from typing import Annotated

import typer
from rich.table import Table

from study.errors import UserError
from study.terminal.cli.options import JsonOption
from study.terminal.cli.output import print_json, standard_output


def net(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="a name, a line of notation, or FILE.py:NAME")],
    teacher: Annotated[str | None, typer.Option(help="a network to compare the costs with")] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="the shape of an image, CxHxW, for a line of notation or your own network",
        ),
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="the number of classes, for your own network")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show what a network is: layers, shapes, parameters, multiplications, compression.

    Example: noisy-study net digits-fc32 --teacher digits-cnn
    """
    from models.cost import compression_ratio, network_cost
    from models.notation import NotationError
    from models.own_code import is_own

    try:
        size = _shape(shape)
        counted, other = (
            None if one is None else network_cost(one, size, classes if is_own(one) else None)
            for one in (network, teacher)
        )
        assert counted is not None
        ratio = None if other is None else compression_ratio(other, counted)
    except NotationError as error:
        raise UserError(str(error)) from None
    if as_json:
        print_json(
            {
                "network": network,
                "multiplications": counted.multiplications,
                "parameters": counted.parameters,
                "bytes": counted.bytes,
                "teacher": teacher,
                "compression_ratio": ratio,
                "layers": [layer.as_json() for layer in counted.layers],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    for column in ("output", "parameters", "multiplications"):
        table.add_column(column, justify="right")
    for layer in counted.layers:
        output = "×".join(map(str, layer.output_shape))
        table.add_row(layer.token, output, f"{layer.parameters:,}", f"{layer.multiplications:,}")
    table.add_section()
    table.add_row("all", f"{counted.bytes:,} bytes", f"{counted.parameters:,}", f"{counted.multiplications:,}")
    out = standard_output()
    out.print(table)
    if ratio is not None:
        out.print(f"{ratio:.2f} times fewer multiplications than {teacher}", highlight=False)


def _shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(re.fullmatch("0{0,99}[1-9][0-9]{0,5}", part) for part in parts):
        raise UserError(f"--input {text[:100]}: expected channels x height x width, for instance 3x32x32")
    return int(parts[0]), int(parts[1]), int(parts[2])
