"""Splits the training images: some are held out for validation, the others are trained on.

Works on labels and counts. Knows nothing of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from study.data.dataset import Labels
from study.errors import UserError

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SplitIndices:
    """Positions in the training images, ascending, no position in both."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


def stratified_split(
    labels: Labels, classes: Sequence[str], validation: float, fraction: float, rng: np.random.Generator
) -> SplitIndices:
    """Hold out validation images class by class, and keep a share of the rest to train on.

    A count that is a multiple of the number of classes takes the same number from every class. Any other count, and a
    share, is distributed over the classes in proportion to their size, by largest remainders. A class of two images or
    more gives at least one, unless the count is below the number of classes. `fraction` keeps that share of the other
    images of every class, and at least one image. Each class is shuffled once, with the same draws for all arguments.
    So the validation images do not depend on `fraction`, and a smaller training set is a part of a larger one.

    Args:
        labels: (N,) in [0, classes).
        classes: their names.
        validation: how many images to hold out, or below 1 the share of all.
        fraction: in (0, 1], the share of the other images that is trained on.
        rng: the only source of randomness.

    Raises:
        UserError: a class has no images, or no image of it would be left to train on.
    """
    return _drawn(labels, _validation_counts(_sizes(labels, classes), classes, validation), fraction, rng)


def stratified_share(
    labels: Labels, classes: Sequence[str], fraction: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """A share of the images of every class, and at least one image: as `stratified_split`, with nothing held out."""
    sizes = _sizes(labels, classes)
    return _drawn(labels, np.zeros_like(sizes), fraction, rng).train


def _sizes(labels: Labels, classes: Sequence[str]) -> Counts:
    sizes = np.bincount(labels, minlength=len(classes)).astype(np.int64)
    if not sizes.all():
        raise UserError(f"class {classes[int(sizes.argmin())]!r} has no training images; every class needs some")
    return sizes


def _drawn(labels: Labels, held_out: Counts, fraction: float, rng: np.random.Generator) -> SplitIndices:
    """So many validation images of each class, and a share of the rest."""
    sizes = np.bincount(labels, minlength=len(held_out)).astype(np.int64)
    remaining = sizes - held_out
    training = max(1, round(fraction * int(remaining.sum())))
    kept = np.maximum(1, _proportional(training, remaining, remaining))

    train, valid = [], []
    for label in range(len(held_out)):
        shuffled = rng.permutation(np.flatnonzero(labels == label))
        first, last = held_out[label], held_out[label] + kept[label]
        valid.append(shuffled[:first])
        train.append(shuffled[first:last])
    return SplitIndices(train=np.sort(np.concatenate(train)), validation=np.sort(np.concatenate(valid)))


def _validation_counts(sizes: Counts, classes: Sequence[str], validation: float) -> Counts:
    total = int(sizes.sum())
    if validation >= 1 and validation % len(classes) == 0:
        counts = np.full_like(sizes, int(validation) // len(classes))
        short = np.flatnonzero(counts >= sizes)
        if short.size:
            label = int(short[0])
            raise UserError(
                f"data.validation: {int(validation)} takes {counts[label]} of the {sizes[label]} training images of "
                f"class {classes[label]!r} and leaves nothing to train on; take fewer, or a share below 1"
            )
        return counts
    count = int(validation) if validation >= 1 else max(1, round(validation * total))
    if count > total - len(classes):
        raise UserError(
            f"data.validation: {count} of {total} training images leave less than one for each of the "
            f"{len(classes)} classes; take fewer"
        )
    counts = _proportional(count, sizes, sizes - 1)
    lacking = np.flatnonzero((counts == 0) & (sizes > 1))
    if validation >= 1 and count < len(classes):
        return counts
    counts[lacking] = 1
    if validation >= 1:  # as many as the user asked for: the classes that give most give one less
        for _ in lacking:
            counts[int(counts.argmax())] -= 1
    return counts


def _proportional(total: int, sizes: Counts, limits: Counts) -> Counts:
    """Distribute `total` over the classes in proportion to `sizes`, by largest remainders, none above its limit.

    The sum of the limits must be at least `total`. Of equal remainders, that of the earlier class counts as larger.
    """
    counts: Counts = np.minimum(total * sizes // sizes.sum(), limits)
    by_remainder = np.argsort(-(total * sizes % sizes.sum()), kind="stable")
    while (left := total - int(counts.sum())) > 0:
        open_classes = by_remainder[counts[by_remainder] < limits[by_remainder]][:left]
        counts[open_classes] += 1
    return counts
