"""Finding a data set by name, and preparing it where there is a builder for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import platformdirs

from bn_ablate.config.architectures import Extent
from bn_ablate.config.errors import nearest
from bn_ablate.config.given import place
from bn_ablate.config.names import NAME
from bn_ablate.data.dataset import DataError, Dataset, DataSettingError
from bn_ablate.data.records import Described, describe, extent, open_arrays

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

BUILT_IN = {
    "digits": Extent((8, 8, 1), 10, 1797),
    "mnist": Extent((28, 28, 1), 10, 70_000),
    "fashion_mnist": Extent((28, 28, 1), 10, 70_000),
    "cifar10": Extent((32, 32, 3), 10, 60_000),
    "cifar100": Extent((32, 32, 3), 100, 60_000),
}
"""How large the data sets are that `builders` prepares: to be known without preparing them."""
_PROBE_SECONDS = 5.0
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set `name`, prepared first where that is still to be done.

    It is looked for in `data_dir` (else in `BN_ABLATE_DATA_DIR`, else in the user's cache folder), then in the folder
    of TFDS itself; the latest version found is taken. What is there in the array_record format is read, whatever
    prepared it. What is not there is prepared by its built-in builder; all but `digits` then download their files.

    Raises:
        DataError: No such data set, its files cannot be had, or what is there is damaged.
    """
    return open_arrays(_locate(name, data_dir) or _generate(name, data_dir, None))


def extent_of(name: str, data_dir: Path | None = None) -> Extent:
    """How large the data set `name` is, without preparing it.

    Raises:
        DataError: as in `load`.
    """
    folder = _locate(name, data_dir)
    return BUILT_IN[name] if folder is None else extent(folder)


def prepare(name: str, data_dir: Path | None = None, manual_dir: Path | None = None) -> Path:
    """Do now all that `load` would do at its first call, and return the folder of the prepared data.

    Files already in `manual_dir` (by default `manual` in the data folder) are used instead of a download. Processes
    that prepare the same data set at once do the work twice and do not disturb each other.

    Raises:
        DataError: As in `load`; without a network, at once, with the files to fetch and the folder to put them in.
    """
    folder = _locate(name, data_dir) or _generate(name, data_dir, manual_dir)
    open_arrays(folder)
    return folder


def damage(name: str, sha256: str, data_dir: Path | None = None) -> list[str]:
    """A sentence where the data set `name` on this machine is damaged, absent, or not the one with that `sha256`."""
    try:
        folder = _locate(name, data_dir)
        if folder is None:
            return [f"data set {name}: is not on this machine, to be checked; `bn-ablate data {name}` prepares it"]
        found = open_arrays(folder)
    except DataError as error:
        return [str(error)]
    if found.sha256 != sha256:
        return [f"data set {name}: what lies in {folder} has SHA-256 {found.sha256}, and the results are of {sha256}"]
    return []


def available(data_dir: Path | None = None) -> tuple[str, ...]:
    """The names of what `load` can use: those with a built-in builder, then what else is prepared on this machine."""
    return tuple(name for name, known in catalog(data_dir).items() if not known.refusal)


class Known(NamedTuple):
    """A data set that is known by its name: how large it is, where it is prepared, and why it cannot be used, if so."""

    description: Described
    folder: Path | None

    @property
    def refusal(self) -> str:
        """Why `load` cannot use it; nothing where it can."""
        return self.description.refusal


def catalog(data_dir: Path | None = None) -> dict[str, Known]:
    """Every data set with a built-in builder, and every one that is prepared on this machine, by name.

    It goes by what a data set says of itself; whether all images have one size, say, only reading them tells.
    """
    found = {path.name for root in roots(data_dir) if root.is_dir() for path in root.iterdir() if versions_in(path)}
    names = dict.fromkeys((*BUILT_IN, *sorted(name for name in found if not name.startswith("."))))
    return {name: _known(name, data_dir) for name in names}


def class_names(name: str, data_dir: Path | None = None) -> tuple[str, ...] | None:
    """What the classes of a prepared data set are called, where it says so."""
    try:
        folder = _locate(name, data_dir)
        listed = list(folder.glob("*.labels.txt")) if folder else []
        return tuple(listed[0].read_text(encoding="utf-8").splitlines()) if len(listed) == 1 else None
    except (DataError, OSError, ValueError):
        return None


def _known(name: str, data_dir: Path | None) -> Known:
    if not re.fullmatch(NAME, name):
        return Known(Described(refusal="a study cannot say this name"), None)
    try:
        folder = _locate(name, data_dir)
    except DataError as error:
        return Known(Described(refusal=str(error)), None)
    if folder is None:
        extent = BUILT_IN[name]
        return Known(Described((extent.examples,), extent.image, extent.classes), None)
    return Known(describe(folder), folder)


def roots(data_dir: Path | None = None) -> tuple[Path, Path]:
    """The folder of this package's data, then that of TFDS itself."""
    own = data_dir or os.environ.get("BN_ABLATE_DATA_DIR") or Path(platformdirs.user_cache_dir("bn_ablate"), "tfds")
    shared = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return place(own).absolute(), place(shared).absolute()


def versions_in(folder: Path) -> list[Path]:
    """The prepared versions under `folder`, of the data set itself or of its configurations, oldest first."""
    infos = [*folder.glob("*/dataset_info.json"), *folder.glob("*/*/dataset_info.json")]
    versions = [info.parent for info in infos if _VERSION.fullmatch(info.parent.name)]
    return sorted(versions, key=lambda path: [int(number) for number in path.name.split(".")])


def _locate(name: str, data_dir: Path | None) -> Path | None:
    """The folder of the latest prepared version of `name`, or None where a built-in builder has to prepare it.

    Raises:
        DataError: The name is unknown, stands for several configurations, or is only there in another format.
    """
    found = [versions_in(root / name) for root in roots(data_dir)] if re.fullmatch(r"[\w-][\w.-]*", name) else []
    for versions in found:
        readable = [path for path in versions if _is_array_record(path)]
        if len({path.parent for path in readable}) > 1:
            raise DataError(
                f"{name} is prepared in several configurations, which a name cannot tell apart: "
                f"{', '.join(map(str, readable))}. Keep one of them in a data folder of its own"
            )
        if readable:
            return readable[-1]
    if name in BUILT_IN:
        return None
    for versions in filter(None, found):
        raise DataError(
            f"{versions[-1]} is not in the array_record format, and other formats need TensorFlow; "
            'prepare it again with download_and_prepare(file_format="array_record")'
        )
    known = available(data_dir)
    raise DataSettingError(
        f"no data set is called {name!r}{nearest(name, known) or '.'} "
        f"Known are {', '.join(known)}, and any that TFDS has prepared as array_record in "
        f"{' or '.join(map(str, roots(data_dir)))}",
        "data.name",
    )


def _is_array_record(folder: Path) -> bool:
    try:
        facts = json.loads((folder / "dataset_info.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} has no readable dataset_info.json ({error}); delete that folder") from error
    return "array_record" in (facts.get("fileFormat"), *facts.get("alternativeFileFormats", ()))


def _generate(name: str, data_dir: Path | None, manual_dir: Path | None) -> Path:
    """Prepare `name` with its built-in builder; TFDS writes to a temporary folder and renames it."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    from bn_ablate.data.builders import BUILDERS

    root, _ = roots(data_dir)
    manual = place(manual_dir or root / "manual").absolute()
    config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=False, force_checksums_validation=True)
    builder = BUILDERS[name](data_dir=root)
    folder = Path(builder.data_dir)
    try:
        _check_reachable(builder, root / "downloads", manual)
        with silence():
            builder.download_and_prepare(
                download_dir=root / "downloads", download_config=config, file_format="array_record"
            )
    except NonMatchingChecksumError as error:
        facts = str(error).partition("\nTo debug")[0]
        raise DataError(f"{name}: {facts}\nDelete that file and fetch it again") from error
    except (OSError, tfds.download.DownloadError) as error:
        if not (folder / "dataset_info.json").is_file():  # else another process was first
            raise DataError(f"{name} cannot be prepared in {root}: {error}") from error
    if not (folder / "dataset_info.json").is_file():
        raise DataError(f"{folder} is in the way of preparing {name}: it has no dataset_info.json; delete it")
    return folder


def _check_reachable(builder: tfds.core.DatasetBuilder, downloads: Path, manual: Path) -> None:
    """Raise a `DataError` at once when a missing file cannot be downloaded; TFDS would retry for minutes."""
    from tensorflow_datasets.core.download.resource import get_dl_fname

    missing = [
        url
        for url, info in ((url, builder.url_infos[url]) for url in builder.urls)
        if not (manual / info.filename).exists()
        and not (downloads / builder.name / get_dl_fname(url, info.checksum)).exists()
    ]
    if not missing:
        return
    try:
        urllib.request.urlopen(missing[0], timeout=_PROBE_SECONDS).close()
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        if not isinstance(getattr(error, "reason", None), ssl.SSLError):  # else TFDS, with its own certificates, may do
            files = "\n  ".join(missing)
            raise DataError(
                f"{builder.name} cannot be downloaded ({error}). Where there is a network, fetch\n  {files}\n"
                f"and put the files, under the names they have there, into {manual}"
            ) from error


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the messages and progress bars of TFDS off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
