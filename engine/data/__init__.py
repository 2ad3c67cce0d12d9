"""Data sets, one source a file."""

from engine.data.batch import DATASETS, Augment, Batch, Batches, DataSet, Split
from engine.registry import import_siblings

import_siblings(__name__, __path__)

__all__ = ["DATASETS", "Augment", "Batch", "Batches", "DataSet", "Split"]
