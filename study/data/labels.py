"""Labels as users have them, numbers or text, as positions among the classes.

Works on arrays of labels. The classes are the training labels, sorted. Knows nothing of images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from study.data.dataset import Labels
from study.data.files.archive import shown
from study.errors import UserError


def numbered(
    source: str, labels: Mapping[str, npt.NDArray[Any]], training: str
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """The class names, and the position of every label among them.

    Args:
        source: the data set's name in messages.
        labels: (N,) whole numbers or text, by what they are called in messages.
        training: which of them are the labels of the training images.

    Raises:
        UserError: there is only one class, or a class that no training image has.
    """
    known = np.unique(labels[training])
    if len(known) < 2:
        raise UserError(f"{source}: only one class in {training}; a study needs at least two")
    positions = {}
    for name, values in labels.items():
        unknown = np.setdiff1d(values, known)
        if len(unknown):
            raise UserError(f"{source}: {name} has the class {shown(str(unknown[0]))}, which no training image has")
        positions[name] = np.searchsorted(known, values).astype(np.int64)
    return tuple(str(value) for value in known), positions
