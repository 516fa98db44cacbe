"""The TFDS builder that writes what an import has found; importing this module imports `tensorflow_datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from bn_ablate.data.catalog import silence
from bn_ablate.data.imports.found import Found, Progress

VERSION = "1.0.0"


def write(name: str, found: Found, record: dict[str, Any], root: Path, progress: Progress) -> Path:
    """Prepare `found` as the data set `name` below `root`, with `record` as its metadata, and return its folder."""
    builder = _Builder(name, found, record, root, progress)
    with silence():
        builder.download_and_prepare(file_format="array_record")
    return Path(builder.data_dir)


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg]
    """A builder of what was found, in the order in which it was found."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, name: str, found: Found, record: dict[str, Any], root: Path, progress: Progress) -> None:
        self.name = name
        self._found = found
        self._record = record
        self._progress = progress
        self._written = 0
        super().__init__(data_dir=root)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Imported from {self._record['imported_from']}.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=self._found.shape, dtype=self._found.kind),
                    "label": tfds.features.ClassLabel(names=list(self._found.classes)),
                }
            ),
            supervised_keys=("image", "label"),
            metadata=tfds.core.MetadataDict(self._record),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        return {split: self._generate_examples(split) for split in self._found.sizes}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (example, label) in enumerate(self._found.examples(split)):
            yield i, {"image": example, "label": label}
            self._written += 1
            self._progress("writing examples", self._written, sum(self._found.sizes.values()))
