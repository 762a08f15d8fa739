"""A method of the user: a subclass of `Method` in a file of the user, `mine.py:MyMethod`.

Works on a reference to code (`models.own_code`). Knows nothing of study files. PyTorch is imported only when a loss is
tried.
"""

import inspect

from models.own_code import in_words as error_in_words
from models.own_code import load, located
from study.methods.base import Batch, Method


def own_method(reference: str) -> type[Method]:
    """The method that a reference names.

    Raises:
        ValueError: it cannot be imported, or is no subclass of `Method` with a loss. One line.
    """
    found = load(reference)
    if not inspect.isclass(found) or not issubclass(found, Method):
        raise ValueError(f"{reference} is no method; expected a subclass of study.methods.base.Method")
    if found.loss is Method.loss:
        raise ValueError(f"{reference} has no loss; expected a function `loss(self, batch)`")
    return found


def try_loss(reference: str, method: Method, classes: int) -> None:
    """Try the loss of a method of the user on one mini-batch of four samples.

    Args:
        reference: to its code, for messages.
        method: with its settings.
        classes: of the data set.

    Raises:
        ValueError: it raises an error, or is not one finite number with a gradient. One line.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, classes, generator=generator).requires_grad_()
    target = torch.randn(4, classes, generator=generator) if method.has_teachers else None
    labels = torch.arange(4) % classes
    try:
        loss: object = method.loss(Batch(logits, target, lambda clean: 1.1 * clean, lambda: labels))
    except Exception as error:  # noqa: BLE001 - code of the user may raise anything
        raise ValueError(f"the loss of {reference}: {error_in_words(error, located(reference))}") from None
    if not isinstance(loss, torch.Tensor) or loss.dim() != 0 or not loss.requires_grad:
        kind = f"a tensor {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise ValueError(f"the loss of {reference} is {kind}; expected one number that depends on batch.logits")
    if not bool(loss.isfinite()):
        raise ValueError(f"the loss of {reference} is not a finite number for ordinary logits")
