"""Reading and printing a study file: YAML, and `--set` overrides."""

import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    ValidationError,
)

from study.config.mistakes import mistakes
from study.config.study import StudyConfig
from study.errors import UserError
from study.noise.settings import FORMER_WORDS
from study.values import (
    FOLDER,
    shown,
)

MAX_KEYS, MAX_MERGED = 1000, 100
"""The most keys of one mapping, and the most mappings that are merged into it (`<<`). Merged mappings can be nested, so
without a limit a short file can make a mapping that fills the memory."""
MAX_STUDY_FILE_CHARACTERS = 100_000
"""PyYAML reads any text of this length in a few seconds. A study file has a few thousand characters."""


def parse_study(
    text: str, source: str, overrides: Sequence[str] = (), name: str | None = None, folder: Path | None = None
) -> StudyConfig:
    """Read a study file.

    Args:
        text: YAML.
        source: its name in an error message (a recipe's name, a path).
        overrides: `dotted.key=YAML value`, applied in order before validation.
        name: replaces the study's name.
        folder: of the study file. Files that it names are looked for there first, then in the working folder.

    Warns:
        FutureWarning: one line for each deprecated word in it.

    Raises:
        UserError: one line for each mistake. It names the key, the value and what is allowed.
    """
    if len(text) > MAX_STUDY_FILE_CHARACTERS:
        raise UserError(f"{source}: longer than {MAX_STUDY_FILE_CHARACTERS} characters; is it a study file?")
    document = _safe_yaml(text, source)
    if not isinstance(document, dict):
        raise UserError(
            f"{source}: a study file is a mapping of keys (name, data, teachers, ...), not {_kind(document)}"
        )
    for override in overrides:
        _apply(document, override)
    if name is not None:
        document["name"] = name
    try:
        config = StudyConfig.model_validate(document, context={FOLDER: folder})
    except ValidationError as error:
        raise UserError(*(f"{source}: {line}" for line in mistakes(error, document))) from None
    for line in sorted(set(_former_words(document))):
        warnings.warn(f"{source}: {line}", FutureWarning, stacklevel=2)
    _refuse_coerced(document, source, ())
    return config


def _former_words(value: Any) -> Iterator[str]:
    """One line for each deprecated word of a valid study file, with what to write instead."""
    if isinstance(value, dict):
        noise = value.get("noise")
        for word in noise if isinstance(noise, list) else [noise]:
            if isinstance(word, str):
                now = FORMER_WORDS[word].changes or {"per": "sample"}
                written = ", ".join(f"{name}: {setting}" for name, setting in now.items())
                yield f"`noise: {word}` is now `noise: {{{written}}}`; the old form is accepted until version 1.0"
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _former_words(part)


def dump_study(config: StudyConfig) -> str:
    """The study file with every default that has an effect. `parse_study` reads an equal config from it."""
    document = config.model_dump(mode="json", exclude_none=True)
    for path, _ in config.without_effect():
        here: Any = document
        for part in path[:-1]:
            here = here.get(part, {}) if isinstance(here, dict) else here[part]
        here.pop(path[-1], None)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def read_text(path: Path) -> str:
    """The text of a study file.

    Raises:
        UserError: one line that says why it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"cannot read the study file {path}: {reason}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with a limit for merged mappings (`<<`), the only thing that it expands."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        merged = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        count = sum(len(value.value) if isinstance(value, yaml.SequenceNode) else 1 for value in merged)
        if count <= MAX_MERGED:
            super().flatten_mapping(node)
        if count > MAX_MERGED or len(node.value) > MAX_KEYS:
            problem = f"at most {MAX_MERGED} mappings are merged, to at most {MAX_KEYS} keys"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _safe_yaml(text: str, where: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise UserError(f"{where}: not valid YAML{place}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    except (ValueError, OverflowError, RecursionError, TypeError, AttributeError, KeyError) as error:
        # PyYAML raises these for text such as a 14th month or a thousand open brackets.
        raise UserError(f"{where}: not valid YAML: {' '.join(str(error).split())[:200]}") from None


_BOOLEANS = (("strict",),)
"""Keys that take true or false."""


def _refuse_coerced(value: Any, source: str, where: tuple[str, ...]) -> None:
    """Refuse scalars that pass validation but are mistakes.

    Most keys take no boolean, which would count as 0 or 1. No text has control characters, which paths and file names
    must not contain. Numbers written as text are accepted, because YAML reads `1e-3` as text.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_coerced(item, source, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_coerced(item, source, (*where, str(index)))
    elif isinstance(value, bool) and where[-1:] not in _BOOLEANS:
        raise UserError(
            f"{source}: {'.'.join(where)}: no key takes {str(value).lower()} (YAML reads yes, no, on, off as booleans)"
        )
    elif isinstance(value, str) and any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise UserError(f"{source}: {'.'.join(where)}: control characters in {shown(value)}")


def _apply(document: dict[Any, Any], override: str) -> None:
    """Set one `dotted.key=value` in the raw document. Mappings that are missing on the way are created."""
    key, equals, value = override.partition("=")
    key, override = " ".join(key.split()), " ".join(override.split())[:200]
    if not equals or not key:
        raise UserError(f"--set {override}: expected key=value, for instance train.epochs=2")
    parts = key.split(".")
    here: Any = document
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(here, list):
            if not part.isdecimal() or int(part) >= len(here):
                raise UserError(
                    f"--set {override}: `{part}` is not a position in a list of {len(here)} (0 is the first)"
                )
            index: Any = int(part)
        elif isinstance(here, dict):
            index = part
        else:
            raise UserError(f"--set {override}: {'.'.join(parts[:depth])} is {_kind(here)} and has no `{part}`")
        if last:
            try:
                here[index] = _safe_yaml(value, f"--set {override}")
            except UserError as error:
                # The notation of a network can begin like a YAML list.
                raise UserError(f"{error}; text that begins with a bracket needs quotes: {key}='\"...\"'") from None
        else:
            if isinstance(here, dict) and here.get(index) is None:
                here[index] = {}
            here = here[index]


def _kind(value: Any) -> str:
    return {"NoneType": "empty", "str": "text", "list": "a list", "dict": "a mapping"}.get(
        type(value).__name__, shown(value)
    )
