"""Data: whole image-classification sets as arrays, the seeded split of each, and the order of its batches."""

from bn_ablate.data.batches import batch_indices
from bn_ablate.data.catalog import available, catalog, class_names, damage, extent_of, load, prepare
from bn_ablate.data.dataset import DataError, Dataset, DataSettingError
from bn_ablate.data.random_labels import with_random_labels
from bn_ablate.data.splits import Split, draw_split, draw_splits, sizes_of
from bn_ablate.data.standardize import moments

__all__ = [
    "DataError",
    "DataSettingError",
    "Dataset",
    "Split",
    "available",
    "batch_indices",
    "catalog",
    "class_names",
    "damage",
    "draw_split",
    "draw_splits",
    "extent_of",
    "load",
    "moments",
    "prepare",
    "sizes_of",
    "with_random_labels",
]
