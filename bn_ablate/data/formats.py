"""The file formats in which well-known image data sets are published, read with NumPy alone."""

from __future__ import annotations

import gzip
import math
import tarfile
import zlib
from collections.abc import Sequence
from os import PathLike

import numpy as np
from jaxtyping import UInt8

from bn_ablate.data.dataset import DataError

_CIFAR_IMAGE = (3, 32, 32)  # channels first
_UNSIGNED_BYTE = 8  # the type code of an IDX file


def read_idx(path: str | PathLike[str]) -> UInt8[np.ndarray, "*shape"]:
    """The array in a gzipped IDX file of unsigned bytes, the format of MNIST.

    Two zero bytes, a type code, the number of axes, a big-endian 32-bit length for each, then the values in C order.

    Raises:
        DataError: The file is not that.
    """
    try:
        with gzip.open(path) as file:
            raw = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error})") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UNSIGNED_BYTE or len(raw) < 4 + 4 * raw[3]:
        raise DataError(f"{path} is not an IDX file of unsigned bytes: it begins with {raw[:4].hex(' ') or 'nothing'}")
    header = 4 + 4 * raw[3]
    shape = [int(length) for length in np.frombuffer(raw, ">u4", raw[3], offset=4)]
    if len(raw) - header != math.prod(shape):
        raise DataError(f"{path} announces {shape} bytes of data, but holds {len(raw) - header}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read_cifar(
    path: str | PathLike[str], members: Sequence[str], labels: int
) -> tuple[UInt8[np.ndarray, "examples 32 32 3"], UInt8[np.ndarray, "examples labels"]]:
    """Images and labels in the members of a gzipped tar file in the binary format of CIFAR.

    A record is `labels` bytes, one a label, and an image of 3 × 32 × 32 bytes, channels first.

    Raises:
        DataError: The file is not that, or a member is not in it.
    """
    size = labels + math.prod(_CIFAR_IMAGE)
    records = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in members:
                file = archive.extractfile(member)
                raw = file.read() if file else b""
                if not raw or len(raw) % size:
                    raise DataError(f"{member} in {path} has {len(raw)} bytes, not whole records of {size}")
                records.append(np.frombuffer(raw, np.uint8).reshape(-1, size))
    except KeyError as error:
        raise DataError(f"{path} is not the expected archive: {error.args[0]}") from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path} is not a whole gzipped tar file ({error})") from error
    table = np.concatenate(records)
    return table[:, labels:].reshape(-1, *_CIFAR_IMAGE).transpose(0, 2, 3, 1), table[:, :labels]
