import gzip
import io
import tarfile

import numpy as np
import pytest

from bn_ablate.data import DataError
from bn_ablate.data.formats import read_cifar, read_idx


def zipped(content: bytes) -> bytes:
    """The same bytes at all times: they stand in the names of tests, which every worker has to call the same."""
    return gzip.compress(content, mtime=0)


def test_idx_by_hand(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(zipped(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])))
    assert read_idx(path).tolist() == [[[1, 2, 3]], [[4, 5, 255]]]
    path.write_bytes(zipped(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])))
    assert read_idx(path).tolist() == [7, 9]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"<html>not here</html>", "not a whole gzip file"),
        (zipped(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))[:-9], "not a whole gzip file"),
        (b"", "begins with nothing"),
        (zipped(b"hello, world"), "begins with 68 65 6c 6c"),
        (zipped(bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0])), "not an IDX file of unsigned bytes"),
        (zipped(bytes([0, 0, 8, 3, 0, 0, 0, 2])), "not an IDX file of unsigned bytes"),
        (zipped(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 9])), r"announces \[3\] bytes of data, but holds 2"),
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path, raw, message):
    path = tmp_path / "images.gz"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, raw in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))


def test_cifar_by_hand(tmp_path):
    """A red, a green and a blue image, over two members, after a coarse and a fine label."""
    planes = [bytes([200] * 1024 if channel == plane else [plane] * 1024) for channel in range(3) for plane in range(3)]
    red, green, blue = (b"".join(planes[3 * i : 3 * i + 3]) for i in range(3))
    tar(tmp_path / "c.tar.gz", {"d/a.bin": b"\x01\x07" + red + b"\x02\x08" + green, "d/b.bin": b"\x03\x09" + blue})
    images, labels = read_cifar(tmp_path / "c.tar.gz", ["d/a.bin", "d/b.bin"], 2)
    assert images.shape == (3, 32, 32, 3)
    assert labels.tolist() == [[1, 7], [2, 8], [3, 9]]
    assert images[0, 5, 6].tolist() == [200, 1, 2]
    assert images[1, 0, 31].tolist() == [0, 200, 2]
    assert images[2, 31, 0].tolist() == [0, 1, 200]


def test_cifar_rows_come_before_columns(tmp_path):
    image = np.arange(3072, dtype=np.uint16).astype(np.uint8)
    tar(tmp_path / "c.tar.gz", {"a.bin": b"\0" + image.tobytes()})
    images, _ = read_cifar(tmp_path / "c.tar.gz", ["a.bin"], 1)
    assert images[0, 2, 3, 1] == (1024 + 2 * 32 + 3) % 256


def test_what_is_no_cifar_archive_is_refused(tmp_path):
    path = tmp_path / "c.tar.gz"
    path.write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError, match=r"c\.tar\.gz is not a whole gzipped tar file"):
        read_cifar(path, ["a.bin"], 1)
    tar(path, {"b.bin": bytes(3073), "c.bin": bytes(3072)})
    with pytest.raises(DataError, match=r"a\.bin"):
        read_cifar(path, ["a.bin"], 1)
    with pytest.raises(DataError, match=r"c\.bin in .* has 3072 bytes, not whole records of 3073"):
        read_cifar(path, ["b.bin", "c.bin"], 1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole gzipped tar file"):
        read_cifar(path, ["b.bin", "a.bin"], 1)
