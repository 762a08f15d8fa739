"""All data sets. One file for each: where its files come from, what they hold, and how they are read.

A new data set is a file here, a line in `SOURCES`, and a line in `study/datasets.py` (CONTRIBUTING.md has an example).
"""

from study.data.source import Source
from study.data.sources import arrays, cifar, digits, fashion_mnist, image_folder, kmnist, mnist, svhn, svhn_no_extra

SOURCES: tuple[Source, ...] = (
    digits.SOURCE,
    mnist.SOURCE,
    fashion_mnist.SOURCE,
    kmnist.SOURCE,
    svhn.SOURCE,
    svhn_no_extra.SOURCE,
    cifar.CIFAR10_SOURCE,
    cifar.CIFAR100_SOURCE,
    arrays.SOURCE,
    image_folder.SOURCE,
)
