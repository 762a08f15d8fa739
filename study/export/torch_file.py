"""A student as a program of `torch.export`: a graph with its weights, which runs without this package.

Works on modules, raw images and paths.
"""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from study.adapters.torch_export import cannot_be_traced
from study.errors import UserError
from study.export.student import Student, WithProbabilities
from study.storage import write_whole


def write_torch(student: Student, example: npt.NDArray[np.uint8], path: Path) -> None:
    """Write a student with its preprocessing. The file accepts any number of images.

    `torch.export.load(path).module()` takes raw images (N, C, H, W), uint8, and returns (logits, probabilities).

    Args:
        student: on the CPU, in evaluation mode.
        example: two or more raw images, (N, C, H, W).
        path: the file; it is replaced atomically.

    Raises:
        UserError: the network cannot be traced, or the disk is full.
    """
    try:
        program = torch.export.export(
            WithProbabilities(student).eval(),
            (torch.from_numpy(example),),
            dynamic_shapes=({0: torch.export.Dim("images")},),
        )
    except cannot_be_traced() as error:
        raise UserError(f"this network cannot be traced ({' '.join(str(error).split())[:200]})") from None
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_whole(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def open_torch(path: Path) -> nn.Module:
    """Open a program that `write_torch` wrote, as a module that returns only logits.

    Programs may contain code: do not open one from an unknown source.
    """
    return _Logits(torch.export.load(path).module())


class _Logits(nn.Module):
    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.program(images)[0]
        return logits
