"""Data sets as arrays in memory: sources, splits, preprocessing and mini-batches.

`load_dataset` reads a data set. `study.data.tensors` turns the result into tensors.
"""

from study.data.dataset import Dataset, DatasetFacts, Split
from study.data.load import describe_dataset, load_dataset

__all__ = ["Dataset", "DatasetFacts", "Split", "describe_dataset", "load_dataset"]
