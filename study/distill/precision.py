"""The precision of float32 products on a GPU.

Works on PyTorch's settings by operator (`fp32_precision`), the newer of its two interfaces. It does not use the older
one (`allow_tf32`), because PyTorch refuses a mixture. By default PyTorch runs convolutions in TF32, whose factors have
10 bits of mantissa instead of 23.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_CUDNN: Any = torch.backends.cudnn  # its type does not declare the attributes of its operators
_OPERATORS: tuple[Any, ...] = (torch.backends.cuda.matmul, _CUDNN.conv, _CUDNN.rnn)


@contextmanager
def fp32_products(tf32: bool = False) -> Iterator[None]:
    """Multiply float32 in full precision inside, or in TF32 if the GPU has it. Also a decorator. A CPU ignores it."""
    before = [operator.fp32_precision for operator in _OPERATORS]
    for operator in _OPERATORS:
        operator.fp32_precision = "tf32" if tf32 else "ieee"
    try:
        yield
    finally:
        for operator, precision in zip(_OPERATORS, before, strict=True):
            operator.fp32_precision = precision
