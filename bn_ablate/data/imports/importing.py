"""From files to a prepared TFDS data set in the folder of this package's data."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.data.catalog import BUILT_IN, roots, versions_in
from bn_ablate.data.dataset import DataError, Dataset
from bn_ablate.data.imports.found import Asked, Found, ImportArgumentError, Progress
from bn_ablate.data.records import open_arrays

NAME = r"[A-Za-z][A-Za-z0-9_]{0,63}"
"""What TFDS lets a data set be called, and a study can say."""
TABLES = (".csv", ".tsv", ".parquet")
_RECORD = "metadata.json"


@dataclass(frozen=True)
class Imported:
    """What an import has made: the data set, the folder it is in, names of its classes, and what was left out."""

    dataset: Dataset
    folder: Path
    classes: tuple[str, ...]
    remarks: tuple[str, ...]


def import_data(
    name: str,
    path: Path,
    *,
    label: str | None = None,
    drop: tuple[str, ...] = (),
    resize: tuple[int, int] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda what, done, total: None,
    data_dir: Path | None = None,
) -> Imported:
    """Make a data set of what lies at `path`, which studies call `name`.

    Args:
        name: letters, digits and `_`, with a letter first.
        path: class folders of images or a zip file of them, a `.npz` file, a table (CSV, TSV, Parquet), or a folder
            that Hugging Face's `datasets` has saved.
        label: the column of a table that holds the classes.
        drop: columns of a table to leave out.
        resize: (height, width) that all images are brought to.
        overwrite: replace an import of that name.
        progress: is called with what is under way, how much is done, and of how much.
        data_dir: the folder of data, by default that of `load`.

    It appears whole or not at all; what it replaces stays until then.

    Raises:
        ImportArgumentError: the name is taken or cannot be, there is nothing at `path` that can be imported, an option
            is missing or not for that.
        DataError: the files are damaged, or are not labelled examples of one shape and of finite numbers.
    """
    root, _ = roots(data_dir)
    _check_name(name, data_dir, overwrite)
    found = _find(path, Asked(label, drop, resize), progress)
    record = {
        "imported_from": str(path.absolute()),
        "source_sha256": found.sha256,
        "options": {key: value for key, value in asdict(Asked(label, drop, resize)).items() if value},
        "written_by": WRITTEN_BY,
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import.", dir=root) as scratch:
            from bn_ablate.data.imports.writing import write

            made = write(name, found, record, Path(scratch), progress)
            progress("packing arrays", 0, 1)
            open_arrays(made)
            old = Path(scratch, "old")
            if (root / name).exists():
                (root / name).rename(old)
            try:
                Path(scratch, name).rename(root / name)
            except OSError:
                with suppress(OSError):
                    old.rename(root / name)
                raise
    except OSError as error:
        raise DataError(f"{name} cannot be written in {root}: {error}") from error
    folder = root / name / made.name
    return Imported(open_arrays(folder), folder, found.classes, found.remarks)


def imported_from(folder: Path) -> str | None:
    """The path that the data set prepared in `folder` was imported from; None where it was not imported."""
    try:
        record = json.loads((folder / _RECORD).read_text())
    except (OSError, ValueError):
        return None
    return record.get("imported_from") if isinstance(record, dict) else None


def _check_name(name: str, data_dir: Path | None, overwrite: bool) -> None:
    if not re.fullmatch(NAME, name) or name == "import":
        raise ImportArgumentError(
            f"{name!r} is no name for a data set: letters, digits and _ make one, with a letter first"
            + (", and import is a word of the command" if name == "import" else "")
        )
    if name in BUILT_IN:
        raise ImportArgumentError(
            f"{name} is a data set that bn-ablate prepares itself; choose another name, as my_{name}"
        )
    own, shared = (versions_in(root / name) for root in roots(data_dir))
    if shared and not own:
        raise ImportArgumentError(f"{name} is a data set of TFDS already, in {shared[-1]}; choose another name")
    if own and imported_from(own[-1]) is None:
        raise ImportArgumentError(f"{own[-1]} was not imported, and is not replaced; choose another name, or delete it")
    if own and not overwrite:
        raise ImportArgumentError(
            f"{name} is there already, imported from {imported_from(own[-1])}; --overwrite replaces it"
        )


def _find(path: Path, asked: Asked, progress: Progress) -> Found:
    """What lies at `path`, by the reader for it."""
    from bn_ablate.data.imports import class_folders, labelled_tables, numpy_archives, saved_datasets

    suffix = path.suffix.lower()
    if path.is_dir():
        if saved_datasets.is_saved_dataset(path):
            return saved_datasets.saved_dataset(path, asked, progress)
        return class_folders.class_folders(path, asked, progress)
    if not path.is_file():
        raise ImportArgumentError(f"{path} is no file and no folder")
    if suffix == ".zip":
        return class_folders.class_folders(path, asked, progress)
    if suffix == ".npz":
        return numpy_archives.numpy_archive(path, asked, progress)
    if suffix in TABLES:
        return labelled_tables.table(path, asked, progress)
    raise ImportArgumentError(
        f"{path} is of no kind that is imported: those are class folders of images, a .zip of them, .npz, "
        f"{', '.join(TABLES)}, and folders that Hugging Face's datasets has saved"
    )
