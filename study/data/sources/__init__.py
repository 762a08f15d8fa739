"""All data sets. One file for each: where its files come from, what they hold, and how they are read.

A new data set is a file here, a line in `SOURCES`, and a line in `study/datasets.py` (CONTRIBUTING.md has an example).
"""

from study.data.source import Source
from study.data.sources import cifar, digits, image_folder, mnist, svhn

SOURCES: tuple[Source, ...] = (
    digits.SOURCE,
    mnist.SOURCE,
    svhn.SOURCE,
    cifar.CIFAR10_SOURCE,
    cifar.CIFAR100_SOURCE,
    image_folder.SOURCE,
)
