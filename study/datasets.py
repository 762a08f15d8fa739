"""The names of all data sets, and the defaults of their data sections in a study file.

Works on names alone, so that a study file can be checked without NumPy. How a data set is read is declared in
`study/data/sources`, under the same name.
"""

from collections.abc import Mapping
from typing import Any

DATA_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"validation": 300},
    "mnist": {"validation": 10_000},
    "fashion_mnist": {"validation": 10_000},
    "kmnist": {"validation": 10_000},
    "svhn": {"validation": 6_000, "preprocess": ["local_contrast_normalization"]},
    "svhn_no_extra": {"validation": 6_000, "preprocess": ["local_contrast_normalization"]},
    "cifar10": {"validation": 5_000, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
    "cifar100": {"validation": 5_000, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
    "arrays": {"validation": 0.1, "preprocess": ["subtract_pixel_mean"]},
    "image_folder": {"validation": 0.1, "preprocess": ["subtract_pixel_mean"], "augment": ["mirror"]},
}
