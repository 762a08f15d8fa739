"""A method of the user: a subclass of `Method` in a file of the user, `mine.py:MyMethod`.

Works on a reference to code (`models.own_code`). Knows nothing of study files. PyTorch is imported only when a loss is
tried.
"""

import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models import own_process
from models.own_code import copies, load, located
from models.own_code import in_words as error_in_words
from study.methods.base import Batch, Method


def own_method(reference: str) -> type[Method]:
    """The method that a reference names.

    Raises:
        ValueError: it cannot be imported, or is no subclass of `Method` with a loss. One line.
    """
    found = load(reference)
    if not inspect.isclass(found) or not issubclass(found, Method):
        raise ValueError(f"{reference} is not a method; expected a subclass of study.methods.base.Method")
    if found.loss is Method.loss:
        raise ValueError(f"{reference} has no loss; expected a function `loss(self, batch)`")
    return found


def try_losses(reference: str, methods: Sequence[Method], classes: int) -> None:
    """Try the loss of a method of the user on one mini-batch of four samples, in a process of its own.

    Args:
        reference: to its code.
        methods: the method with each of its settings.
        classes: of the data set.

    Raises:
        ValueError: it raises an error, hangs, or is not one finite number with a gradient. One line.
    """
    settings = json.dumps([method.model_dump(mode="json") for method in methods])
    if (error := _tried(reference, located(reference).digest, settings, classes, copies())) is not None:
        raise ValueError(error)


@functools.lru_cache(maxsize=100)
def _tried(reference: str, digest: str, settings: str, classes: int, copies: Path | None) -> str | None:
    """What is wrong. `digest` and `copies` are arguments, so that code that was changed is tried again."""
    task = {"reference": reference, "settings": json.loads(settings), "classes": classes}
    answer = own_process.asked("study.methods.own:answer_to", task, f"the loss of {reference}", "for four samples")
    error: str | None = answer["error"]
    return error


def answer_to(task: Mapping[str, Any]) -> dict[str, Any]:
    """Try the losses of one method in this process; never raises an error of the user's code."""
    reference = task["reference"]
    try:
        method = own_method(reference)
        found = (_mistake(method.model_validate(each), task["classes"]) for each in task["settings"])
        mistake = next((each for each in found if each is not None), None)
    except BaseException as error:  # noqa: BLE001 - code of the user may raise anything
        mistake = f": {error_in_words(error, located(reference))}"
    return {"error": None if mistake is None else f"the loss of {reference}{mistake}"}


def _mistake(method: Method, classes: int) -> str | None:
    """What is wrong with a loss, in words that follow its name."""
    import torch

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, classes, generator=generator).requires_grad_()
    target = torch.randn(4, classes, generator=generator) if method.has_teachers else None
    labels = torch.arange(4) % classes
    loss: object = method.loss(Batch(logits, target, lambda clean: 1.1 * clean, lambda: labels))
    if not isinstance(loss, torch.Tensor) or loss.dim() != 0 or not loss.requires_grad:
        kind = f"a tensor {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        return f" is {kind}; expected one number that depends on batch.logits"
    return None if bool(loss.isfinite()) else " is not a finite number for ordinary logits"
