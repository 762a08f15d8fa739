"""Where two JSON documents differ.

Knows nothing of what is in them.
"""


def first_difference(one: object, other: object, key: str = "") -> str | None:
    """The dotted key of the first difference of two JSON documents; None where they are equal.

    Args:
        one, other: two documents.
        key: the key of both in a larger document.
    """
    if one == other:
        return None
    inner: list[tuple[str, object, object]] = []
    if isinstance(one, dict) and isinstance(other, dict):
        inner = [(str(name), one.get(name), other.get(name)) for name in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        inner = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    for name, left, right in inner:
        if (found := first_difference(left, right, f"{key}.{name}" if key else name)) is not None:
            return found
    return key
