"""TFDS builders that prepare with no TensorFlow: raw uint8 features, files read by `formats`.

Importing this module imports `tensorflow_datasets`; do it where a data set is prepared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import cifar, mnist

from bn_ablate.data.dataset import DataError
from bn_ablate.data.formats import read_cifar, read_idx

Arrays = tuple[np.ndarray, np.ndarray]
Paths = Mapping[str, PathLike[str]]

_IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


class _FromArrays(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg]
    """A builder whose splits are arrays of images and labels, kept in their published order."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__(skip_registration=True)  # the stock builders have the same names

    @property
    def urls(self) -> tuple[str, ...]:
        """The files to download."""
        return ()

    @abstractmethod
    def _read(self, paths: Paths) -> dict[str, Arrays]:
        """Images and labels of each split, from the downloaded file of each URL."""

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        splits = self._read(dl_manager.download({url: url for url in self.urls}))
        for split, (images, labels) in splits.items():
            if len(images) != len(labels):
                raise DataError(f"{self.name}: {len(images)} images but {len(labels)} labels in its {split} files")
        return {split: self._generate_examples(*arrays) for split, arrays in splits.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": image, "label": int(label)}


class Digits(_FromArrays):
    """The 1797 handwritten digits that come with scikit-learn: 8 × 8 pixels of 17 grey levels, 0 to 16."""

    name = "digits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The handwritten digits that come with scikit-learn (the test part of the UCI set).",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
            disable_shuffling=True,
        )

    def _read(self, paths: Paths) -> dict[str, Arrays]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return {"train": (digits.images[..., np.newaxis].astype(np.uint8), digits.target)}


class _Stock(_FromArrays):
    """A stock TFDS builder, mixed in after this class, with its image as a raw tensor instead of a PNG.

    `url_infos` holds the registered size and checksum of each file by URL, which TFDS checks.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        stock = super()._info()
        image = tfds.features.Tensor(shape=stock.features["image"].shape, dtype=np.uint8)
        return tfds.core.DatasetInfo(
            builder=self,
            description=stock.description,
            features=tfds.features.FeaturesDict({"image": image, "label": stock.features["label"]}),
            supervised_keys=stock.supervised_keys,
            homepage=stock.homepage,
            citation=stock.citation,
            disable_shuffling=True,
        )


class _Idx(_Stock):
    """MNIST and the sets published in its form: four gzipped IDX files under one address."""

    URL: str

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self.URL + file for files in _IDX_FILES.values() for file in files)

    def _read(self, paths: Paths) -> dict[str, Arrays]:
        return {
            split: (read_idx(paths[self.URL + images])[..., np.newaxis], read_idx(paths[self.URL + labels]))
            for split, (images, labels) in _IDX_FILES.items()
        }


class _Cifar(_Stock):
    """CIFAR in its binary form: one gzipped tar file."""

    @property
    def urls(self) -> tuple[str, ...]:
        return (self._cifar_info.url,)

    def _read(self, paths: Paths) -> dict[str, Arrays]:
        facts = self._cifar_info
        splits = {}
        for split, files in (("train", facts.train_files), ("test", facts.test_files)):
            members = [facts.prefix + file for file in files]
            images, labels = read_cifar(paths[facts.url], members, len(facts.label_keys))
            splits[split] = images, labels[:, facts.label_keys.index("label")]
        return splits


class Mnist(_Idx, mnist.MNIST):  # type: ignore[misc]
    """Handwritten digits, 28 × 28 grey, 60 000 and 10 000."""

    name = "mnist"
    url_infos = mnist.MNIST.url_infos


class FashionMnist(_Idx, mnist.FashionMNIST):  # type: ignore[misc]
    """Articles of clothing, 28 × 28 grey, 60 000 and 10 000."""

    name = "fashion_mnist"
    url_infos = mnist.FashionMNIST.url_infos


class Cifar10(_Cifar, cifar.Cifar10):  # type: ignore[misc]
    """Photographs of 10 kinds of thing, 32 × 32 colour, 50 000 and 10 000."""

    name = "cifar10"
    url_infos = cifar.Cifar10.url_infos


class Cifar100(_Cifar, cifar.Cifar100):  # type: ignore[misc]
    """Photographs of 100 kinds of thing (the fine labels), 32 × 32 colour, 50 000 and 10 000."""

    name = "cifar100"
    url_infos = cifar.Cifar100.url_infos


BUILDERS: dict[str, type[_FromArrays]] = {
    builder.name: builder for builder in (Digits, Mnist, FashionMnist, Cifar10, Cifar100)
}
