"""The digits of scikit-learn: 1,797 images of 8×8 pixels, values 0 to 16, in the package itself.

The collection has no official test set, so a test set is drawn here.
"""

import numpy as np

from study.data.dataset import DatasetFacts, RawDataset, Split
from study.data.source import Source
from study.data.splits import stratified_split

INPUT_SHAPE = (1, 8, 8)
CLASSES = tuple(str(digit) for digit in range(10))
TEST_SIZE = 500
MAX_VALUE = 16.0


def read_digits(split_seed: int) -> RawDataset:
    """1,297 training and 500 test images, 50 of each class in the test set."""
    from sklearn.datasets import load_digits  # takes a second to import, and only this dataset needs it

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[:, np.newaxis]
    labels = bunch.target.astype(np.int64)
    # This generator is not the one of the validation images, so that the two draws are independent.
    rng = np.random.default_rng([split_seed, 1])
    indices = stratified_split(labels, CLASSES, validation=TEST_SIZE, fraction=1.0, rng=rng)
    return RawDataset(
        classes=CLASSES,
        training=Split(images[indices.train], labels[indices.train]),
        test=Split(images[indices.validation], labels[indices.validation]),
        max_value=MAX_VALUE,
    )


SOURCE = Source(
    name="digits",
    facts=DatasetFacts(INPUT_SHAPE, len(CLASSES)),
    read=lambda config, data_root: read_digits(config.split_seed),
)
