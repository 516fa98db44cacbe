"""How one seed divides a data set into train, validation and test examples, stratified by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64

from bn_ablate.config.training_keys import Data
from bn_ablate.data.dataset import Dataset, DataSettingError
from bn_ablate.data.permutation import permutation


class Split(NamedTuple):
    """Indices into a data set, ascending and disjoint; `draw_splits` puts an axis of seeds before them."""

    train: Int32[np.ndarray, "*seeds n_train"]
    validation: Int32[np.ndarray, "*seeds n_validation"]
    test: Int32[np.ndarray, "*seeds n_test"]


class Sizes(NamedTuple):
    """How many examples each part has."""

    train: int
    validation: int
    test: int


def sizes_of(settings: Data, n: int, n_own_train: int) -> Sizes:
    """What `settings` give each part of `n` examples, of which the data set's own train split has `n_own_train`.

    It may be more than there are, or less than 1.
    """
    official = settings.split == "official"
    pool = n_own_train if official else n
    validation = pool // 6 if settings.n_validation is None else settings.n_validation
    if settings.n_test is not None:
        test = settings.n_test
    elif official:
        test = n - n_own_train
    else:
        test = n // 6 if settings.n_train is None else n - settings.n_train - validation
    return Sizes(settings.n_train or pool - validation - (0 if official else test), validation, test)


def draw_split(dataset: Dataset, settings: Data, seed: int) -> Split:
    """The split of one seed: test first, then validation, then train, each from what is left.

    A part of n examples holds of every class the share that the class has in what it is drawn from, rounded by largest
    remainders, so sizes and class counts are the same for all seeds. Test and validation do not depend on `n_train`
    where `n_test` is given.

    `seeded` draws all three parts from all examples. `fixed` is the `seeded` draw of seed 0, whatever the seed.
    `official` takes for test the data set's own test examples, or `n_test` of them, the same for all seeds; the seed
    draws validation and train from its own train examples.

    Raises:
        DataSettingError: The sizes do not fit, or `official` is asked of a data set that has no test split.
    """
    if settings.split == "official":
        return _draw_official(dataset, settings, seed)
    n = len(dataset.labels)
    n_train, n_validation, n_test = sizes_of(settings, n, dataset.n_official_train)
    _check_sizes(dataset, n, n_train=n_train, n_validation=n_validation, n_test=n_test)
    seed = 0 if settings.split == "fixed" else seed
    test, validation, train = _stratified(dataset, np.arange(n), (n_test, n_validation, n_train), "split", seed)
    return Split(train, validation, test)


def draw_splits(dataset: Dataset, settings: Data, seeds: Iterable[int]) -> Split:
    """`draw_split` for every seed, with shapes `(seeds, n_train)`, `(seeds, n_validation)`, `(seeds, n_test)`."""
    return Split(*map(np.stack, zip(*(draw_split(dataset, settings, seed) for seed in seeds), strict=True)))


def apportion(n: int, counts: Int64[np.ndarray, " classes"]) -> Int64[np.ndarray, " classes"]:
    """Shares of `n` in proportion to `counts`, by largest remainders; of equal remainders the lower class wins.

    No share exceeds its count when `n <= sum(counts)`.
    """
    shares, remainders = np.divmod(n * counts, counts.sum())
    largest = np.argsort(-remainders, kind="stable")[: n - shares.sum()]
    shares[largest] += 1
    return shares


def _draw_official(dataset: Dataset, settings: Data, seed: int) -> Split:
    own_train, own_test = np.split(np.arange(len(dataset.labels)), [dataset.n_official_train])
    if not own_test.size:
        raise DataSettingError(
            f'"official": {dataset.name} has no test split of its own; use "seeded" or "fixed"', "data.split"
        )
    n_train, n_validation, n_test = sizes_of(settings, len(dataset.labels), own_train.size)
    _check_sizes(dataset, own_test.size, "official test ", n_test=n_test)
    _check_sizes(dataset, own_train.size, "official train ", n_train=n_train, n_validation=n_validation)
    (test,) = _stratified(dataset, own_test, (n_test,), "official test", 0)
    validation, train = _stratified(dataset, own_train, (n_validation, n_train), "split", seed)
    return Split(train, validation, test)


def _check_sizes(dataset: Dataset, there: int, which: str = "", **sizes: int) -> None:
    """Raise a `DataSettingError` unless all sizes but that of validation are at least 1, and `there` are enough."""
    least = {"n_validation": 0}
    without = " and ".join(f"data.{key}" for key, size in sizes.items() if size < least.get(key, 1))
    if not without and sum(sizes.values()) <= there:
        return
    asked = " and ".join(f"data.{key} = {size}" for key, size in sizes.items() if size >= 1)
    raise DataSettingError(
        f"{dataset.name} has {there} {which}examples, but {asked} {f'leave none for {without}' if without else ''}"
        f"{'' if without else f'come to {sum(sizes.values())}'} (what is not given has its default); make them smaller"
    )


def _stratified(
    dataset: Dataset, pool: Int64[np.ndarray, " pool"], sizes: Sequence[int], purpose: str, seed: int
) -> list[Int32[np.ndarray, " n"]]:
    """Disjoint parts of `pool` with the given sizes, drawn one after the other, stratified by class, ascending.

    Every class is shuffled once. A part takes the next stretch of each class, as long as its share.
    """
    order = pool[permutation(pool.size, purpose, seed)]
    order = order[np.argsort(dataset.labels[order], kind="stable")]
    classes = dataset.labels[order]
    counts = np.bincount(classes, minlength=dataset.n_classes)
    rank = np.arange(pool.size) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.zeros_like(counts)
    parts = []
    for size in sizes:
        begin, taken = taken, taken + apportion(size, counts - taken)
        chosen = (begin[classes] <= rank) & (rank < taken[classes])
        parts.append(np.sort(order[chosen]).astype(np.int32))
    return parts
