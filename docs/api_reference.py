"""The reference of the notebook's functions, as Markdown, from their signatures and docstrings.

Works on docstrings in Google's style. Knows nothing of any single function.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import study

SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Example")


def reference() -> str:
    """One section for every name that `from study import …` has."""
    lines = [
        "# Functions for notebooks",
        "",
        "`from study import NAME`. [In a notebook](../api.md) has examples and the columns of a table.",
        "",
    ]
    names = sorted(study.__all__, key=lambda name: (isinstance(getattr(study, name), type), name))
    for name in names:
        known = getattr(study, name)
        lines += _section(name, known)
        if isinstance(known, type):
            for member, value in vars(known).items():
                if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    lines += _section(f"{name}.{member}", value, "###")
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, known: Any, level: str = "##") -> Iterator[str]:
    yield from (f"{level} {name}", "")
    if not isinstance(known, property):
        yield from ("```python", f"{name.split('.')[-1]}{_signature(known)}", "```", "")
    text = inspect.getdoc(known) or ""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.M)
    yield from (parts[0].strip(), "")
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        yield from _part(title, inspect.cleandoc(body))


def _signature(known: Any) -> str:
    """With types as a reader writes them, and without `self`."""
    signature = inspect.signature(known)
    shown = [one for one in signature.parameters.values() if one.name != "self"]
    text = re.sub(r"(: |-> )'([\w.]+)'", r"\1\2", str(signature.replace(parameters=shown)))
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text).removesuffix(" -> None")


def _part(title: str, body: str) -> Iterator[str]:
    if title == "Example":
        code = re.sub(r"^>>> ", "", body, flags=re.M)
        yield from ("```python", re.sub(r"^(from .*)\n(?!from )", r"\1\n\n", code, flags=re.M), "```", "")
    elif title == "Returns":
        yield from (f"**{title}:** {' '.join(body.split())}", "")
    else:
        words = {"Args": "Arguments"}.get(title, title)
        yield from (f"**{words}:**", "")
        for name, meaning in re.findall(r"^(\S[^:]*): ((?:.*\n?)(?:    .*\n?)*)", body, flags=re.M):
            yield f"- `{name}`: {' '.join(meaning.split())}"
        yield ""
