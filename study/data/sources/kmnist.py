"""KMNIST: 70,000 grey pictures of ten hiragana, from four files in the layout of `torchvision.datasets.KMNIST`.

Clanuwat and others, *Deep Learning for Classical Japanese Literature* (2018). The class names are the readings of the
characters, as torchvision writes them.
"""

from study.data.sources.mnist import IdxDataset

KMNIST = IdxDataset("KMNIST", "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"))
SOURCE = KMNIST.source("kmnist")
