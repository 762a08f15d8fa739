"""The reference of the study file, as Markdown, from the models that read it.

Works on JSON schemas, which pydantic makes of the models. Knows nothing of any single key.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from study.config import StudyConfig

Schema = Mapping[str, Any]

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_WORDS = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}


def reference() -> str:
    """One section for the study and one for every model below it, in the order in which they are met."""
    schema = StudyConfig.model_json_schema()
    models: dict[str, Schema] = schema["$defs"]
    lines = [
        "# Study file",
        "",
        "Every key with its values, default and meaning. `noisy-study validate FILE` prints a file with every default "
        "filled in that has an effect, or says in one line what is wrong with it.",
        "",
        "A setting that has no effect is refused where it is given: `momentum` with the optimizer adam, "
        "`reduction_factor` with the scheduler fifo, `train` for a teacher that is read from `weights`. The message "
        "says why it has none.",
        "",
        *_section("The study", schema),
    ]
    for name in _in_order(schema, models):
        lines += _section(name.removesuffix("Config"), models[name])
    return "\n".join(lines) + "\n"


def _section(title: str, model: Schema) -> list[str]:
    lines = [f"## {title}", ""]
    if description := model.get("description"):
        lines += [" ".join(description.split()), ""]
    lines += ["| key | values | default | |", "| --- | --- | --- | --- |"]
    required = model.get("required", ())
    for name, key in model["properties"].items():
        default = "**needed**" if name in required else _default(key)
        cells = (f"`{name}`", _values(key), default, key.get("description", ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _values(key: Schema) -> str:
    """What a key may be, in words."""
    for union in ("anyOf", "oneOf"):
        if union in key:
            return ", or ".join(dict.fromkeys(_values(one) for one in key[union] if one.get("type") != "null"))
    if "$ref" in key:
        name = key["$ref"].rpartition("/")[2].removesuffix("Config")
        return f"[{name}](#{name.lower()})"
    if "const" in key:
        return f"`{key['const']}`"
    if "enum" in key:
        return ", ".join(f"`{one}`" for one in key["enum"])
    if key.get("type") == "array":
        if "prefixItems" in key:
            return "[" + ", ".join(_values(one) for one in key["prefixItems"]) + "]"
        return f"a list of: {_values(key['items'])}" if "items" in key else "a list"
    if key.get("type") == "object":
        inner = key.get("additionalProperties")
        return f"keys with: {_values(inner)}" if isinstance(inner, dict) and inner else "keys"
    words = _WORDS.get(str(key.get("type")), "any value")
    bounds = [f"{word} {key[bound]:,}" for bound, word in _BOUNDS.items() if bound in key]
    return f"{words} {' and '.join(bounds)}".rstrip()


def _default(key: Schema) -> str:
    value = key.get("default")
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):  # its own section says it
        return "its defaults"
    return f"`{json.dumps(value)}`"


def _in_order(schema: Schema, models: Mapping[str, Schema]) -> list[str]:
    met: list[str] = []

    def meet(part: Schema) -> None:
        for name in _references(part):
            if name not in met:
                met.append(name)
                meet(models[name])

    meet(schema["properties"])
    return met


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
