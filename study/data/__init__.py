"""Datasets as arrays in memory: sources, splits, preprocessing, and batches of them.

`load_dataset` is the way in; `study.data.tensors` makes tensors of what it returns.
"""

from study.data.dataset import Dataset, DatasetFacts, Split
from study.data.load import describe_dataset, load_dataset

__all__ = ["Dataset", "DatasetFacts", "Split", "describe_dataset", "load_dataset"]
