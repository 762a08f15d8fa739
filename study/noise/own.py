"""A form of noise of the user: a subclass of `Form` in a file of the user, `mine.py:MyForm`.

Works on a reference to code (`models.own_code`). Knows nothing of study files. PyTorch is imported only when a form is
tried.
"""

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import own_process
from models.own_code import copies, load, located
from models.own_code import in_words as error_in_words
from study.noise.form import Form

if TYPE_CHECKING:
    from torch import Tensor


LARGEST_DRAW = 5.5
"""About one draw of N(0, 1) in 26 million lies beyond it, so a short training may not have one."""


def own_form(reference: str) -> type[Form]:
    """The form that a reference names.

    Raises:
        ValueError: it cannot be imported, or is no subclass of `Form` with everything that a form needs. One line.
    """
    found = load(reference)
    if not inspect.isclass(found) or not issubclass(found, Form):
        raise ValueError(f"{reference} is not a form of noise; expected a subclass of study.noise.form.Form")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise ValueError(f"{reference} has no `{missing[0]}`; expected static methods `drawn` and `applied`")
    if type(getattr(found, "unselected", None)) not in (int, float):
        raise ValueError(f"{reference} has no `unselected`; expected the number for samples that are not perturbed")
    return found


def try_form(reference: str, classes: int) -> None:
    """Try a form of the user on four samples, in a process of its own.

    Raises:
        ValueError: it raises an error, hangs, changes shapes, draws numbers of its own, or changes logits without noise
            although `vanishes` is true. One line.
    """
    if (error := _tried(reference, located(reference).digest, classes, copies())) is not None:
        raise ValueError(error)


@functools.lru_cache(maxsize=100)
def _tried(reference: str, digest: str, classes: int, copies: Path | None) -> str | None:
    """What is wrong. `digest` and `copies` are arguments, so that code that was changed is tried again."""
    task = {"reference": reference, "classes": classes}
    answer = own_process.asked("study.noise.own:answer_to", task, reference, "for four samples")
    error: str | None = answer["error"]
    return error


def answer_to(task: Mapping[str, Any]) -> dict[str, Any]:
    """Try one form in this process; never raises an error of the user's code."""
    reference = task["reference"]
    try:
        return {"error": _mistake(reference, own_form(reference), task["classes"])}
    except BaseException as error:  # noqa: BLE001 - code of the user may raise anything
        return {"error": f"{reference}: {error_in_words(error, located(reference))}"}


def _mistake(reference: str, form: type[Form], classes: int) -> str | None:
    """What is wrong with a form, in one line."""
    import torch

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, classes, generator=generator).requires_grad_()
    for columns in (classes, 1):  # one ξ for each class, and one that all classes share
        normal = torch.randn(4, columns, generator=generator)
        normal[:3, 0] = torch.tensor([-LARGEST_DRAW, 0.0, LARGEST_DRAW])
        xi: object = form.shaped(normal.clone())
        if not isinstance(xi, torch.Tensor) or xi.shape != normal.shape or xi.dtype != normal.dtype:
            return f"`shaped` of {reference} gives {_kind(xi)}; expected {_kind(normal)}, as it got"
        if not bool(xi.isfinite().all()):
            return f"`shaped` of {reference} gives values that are not finite, for draws up to ±{LARGEST_DRAW}"
        if not torch.equal(xi, form.shaped(normal.clone())):
            return f"`shaped` of {reference} gives two results for the same draws; expected a function of them"
        drawn: object = form.drawn(xi.clone())
        if not isinstance(drawn, torch.Tensor) or drawn.shape != xi.shape or drawn.dtype != xi.dtype:
            return f"`drawn` of {reference} gives {_kind(drawn)}; expected {_kind(xi)}, as it got"
        if not torch.equal(drawn, form.drawn(xi.clone())):
            return f"`drawn` of {reference} gives two results for the same ξ; it must not draw random numbers"
        noisy: object = form.applied(logits, drawn.expand(4, classes))
        if not isinstance(noisy, torch.Tensor) or noisy.shape != logits.shape or noisy.dtype != logits.dtype:
            return f"`applied` of {reference} gives {_kind(noisy)}; expected {_kind(logits)}, as it got"
        if not bool(noisy.isfinite().all()):
            return f"`applied` of {reference} gives values that are not finite, for ordinary logits"
        if not noisy.requires_grad:
            return f"`applied` of {reference} gives values without a gradient; expected values of the logits"
    without = (torch.full((4, classes), float(form.unselected)), form.drawn(torch.zeros(4, classes)))
    if form.vanishes and not all(torch.equal(form.applied(logits, drawn), logits) for drawn in without):
        return (
            f"{reference} changes logits where there is no noise (ξ = 0, or `unselected`); correct it, or set "
            "`vanishes = False`"
        )
    return None


def _kind(value: "Tensor | object") -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    return type(value).__name__
