"""SVHN without its extra images: 73,257 training and 26,032 test images, from two of its three MATLAB files.

Knows nothing of the protocol for validation images that `svhn` has: they are held out class by class.
"""

from study.data.dataset import DatasetFacts
from study.data.source import MACHINE_BYTES, Source, memory_for_each_byte
from study.data.sources.svhn import CLASSES, INPUT_SHAPE, read_svhn

SOURCE = Source(
    name="svhn_no_extra",
    facts=DatasetFacts(INPUT_SHAPE, len(CLASSES)),
    read=lambda config, data_root: read_svhn(
        data_root, ("train", "test"), int(MACHINE_BYTES / memory_for_each_byte(config))
    ),
)
