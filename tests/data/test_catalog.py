import gzip
import http.server
import io
import re
import socket
import struct
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import compute_url_info

from bn_ablate.cli import main as cli
from bn_ablate.config.architectures import Extent
from bn_ablate.data import DataError, available, catalog, extent_of, load, prepare
from bn_ablate.data.builders import BUILDERS
from bn_ablate.data.dataset import fingerprint


def test_digits_are_scikit_learns_got_in_silence_and_without_tensorflow(digits_run, digits):
    _, process = digits_run
    assert (process.returncode, process.stdout, process.stderr) == (0, f"{digits.sha256} {digits.sha256}\n", "")
    assert (digits.name, digits.version, digits.n_classes, digits.n_official_train) == ("digits", "1.0.0", 10, 1797)
    assert digits.images.shape == (1797, 8, 8, 1)
    assert (digits.images.min(), digits.images.max()) == (0, 16)
    assert digits.labels[:12].tolist() == [*range(10), 0, 1]


LOAD_MNIST = """
import sys
from pathlib import Path
from tensorflow_datasets.core.download.checksums import compute_url_info
from bn_ablate.data import load
from bn_ablate.data.builders import BUILDERS

root = Path(sys.argv[1])
BUILDERS["mnist"].url_infos = {
    url: compute_url_info(root / "manual" / info.filename) for url, info in BUILDERS["mnist"].url_infos.items()
}
print(load("mnist", root).sha256)
"""


def test_two_processes_prepare_at_once(tmp_path, start_python):
    files, images, labels, _ = mnist_files()
    (tmp_path / "own" / "manual").mkdir(parents=True)
    for file, raw in files.items():
        (tmp_path / "own" / "manual" / file).write_bytes(raw)
    expected = fingerprint(images, labels.astype(np.int32))
    pair = [start_python(LOAD_MNIST, str(tmp_path / "own")) for _ in range(2)]
    for process in pair:
        out, errors = process.communicate(timeout=120)
        assert (process.returncode, out, errors) == (0, f"{expected}\n", "")
    assert [path.name for path in (tmp_path / "own" / "mnist").iterdir()] == ["3.0.1"]


def test_a_builder_for_every_known_name():
    assert available() == tuple(BUILDERS)


@pytest.mark.parametrize("name", BUILDERS)
def test_how_large_a_data_set_is_is_known_before_it_is_prepared(name, tmp_path):
    """Image and classes as the builder declares them; examples as in the files that are published, by TFDS's checks."""
    features = BUILDERS[name](data_dir=tmp_path).info.features
    extent = extent_of(name, tmp_path)
    assert (extent.image, extent.classes) == (features["image"].shape, features["label"].num_classes)
    assert list(tmp_path.iterdir()) == []


def test_how_large_a_data_set_is_is_read_without_decoding_it(digits, digits_dir, tmp_path, write_tfds):
    assert extent_of("digits", digits_dir) == digits.extent == extent_of("digits", tmp_path)
    assert digits.extent == Extent((8, 8, 1), 10, 1797)
    example = {"image": np.zeros((2, 3, 1), np.uint8), "label": 0}
    folder = write_tfds(tmp_path, "shapes", {"train": [example] * 5, "test": [example] * 2})
    assert extent_of("shapes", tmp_path) == Extent((2, 3, 1), 3, 7)
    assert not (folder / "arrays").exists()
    assert load("shapes", tmp_path).extent == extent_of("shapes", tmp_path)
    with pytest.raises(DataError, match="no data set is called 'shpes'; did you mean 'shapes'"):
        extent_of("shpes", tmp_path)


# Small files in the real formats of the built-in sets, with the checksums they would have.


def idx(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def mnist_files():
    rng = np.random.default_rng(0)
    data = {
        part: (rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10)
        for part, n in (("train", 30), ("t10k", 12))
    }
    files = {}
    for part, (images, labels) in data.items():
        files[f"{part}-images-idx3-ubyte.gz"] = idx(images)
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(labels)
    images, labels = (np.concatenate(arrays) for arrays in zip(*data.values(), strict=True))
    return files, images[..., np.newaxis], labels, 30


def cifar_files(prefix, members, label_bytes):
    rng = np.random.default_rng(1)
    buffer, images, labels = io.BytesIO(), [], []
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            image = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
            label = rng.integers(0, 10, (3, label_bytes), np.uint8)
            raw = np.concatenate([label, image.transpose(0, 3, 1, 2).reshape(3, -1)], axis=1).tobytes()
            entry = tarfile.TarInfo(f"{prefix}/{member}")
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
            images.append(image)
            labels.append(label[:, -1])
    return buffer.getvalue(), np.concatenate(images), np.concatenate(labels), 3 * (len(members) - 1)


def cifar10_files():
    members = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    archive, *rest = cifar_files("cifar-10-batches-bin", members, 1)
    return {"cifar-10-binary.tar.gz": archive}, *rest


def cifar100_files():
    archive, *rest = cifar_files("cifar-100-binary", ["train.bin", "test.bin"], 2)
    return {"cifar-100-binary.tar.gz": archive}, *rest


FILES = {"mnist": mnist_files, "fashion_mnist": mnist_files, "cifar10": cifar10_files, "cifar100": cifar100_files}


def put(folder: Path, files, name, monkeypatch):
    """Write the files, and register their checksums in place of those of the full-size files."""
    folder.mkdir(parents=True)
    builder = BUILDERS[name]
    infos = {}
    for file, raw in files.items():
        (folder / file).write_bytes(raw)
        (url,) = (url for url in builder.url_infos if url.endswith("/" + file))
        infos[url] = compute_url_info(folder / file)
    monkeypatch.setattr(builder, "url_infos", infos)


@pytest.mark.parametrize("name", FILES)
def test_the_registered_checksums_are_those_of_tfds(name):
    builder = BUILDERS[name]
    stock = next(c for c in builder.__mro__ if c.__module__.startswith("tensorflow_datasets.image_classification."))
    assert builder.url_infos == stock.url_infos
    files, *_ = FILES[name]()
    assert {info.filename for info in builder.url_infos.values()} == set(files)
    assert {url.rpartition("/")[2] for url in builder.url_infos} == set(files)


@pytest.mark.parametrize("name", FILES)
def test_files_put_there_by_hand(tmp_path, monkeypatch, name):
    files, images, labels, n_train = FILES[name]()
    put(tmp_path / "own" / "manual", files, name, monkeypatch)
    dataset = load(name)
    assert np.array_equal(dataset.images, images)
    assert np.array_equal(dataset.labels, labels)
    assert (dataset.name, dataset.n_official_train) == (name, n_train)
    assert dataset.n_classes == (100 if name == "cifar100" else 10)


def test_files_in_another_folder(tmp_path, monkeypatch):
    files, images, *_ = mnist_files()
    put(tmp_path / "usb", files, "mnist", monkeypatch)
    folder = prepare("mnist", tmp_path / "data", tmp_path / "usb")
    assert folder == tmp_path / "data" / "mnist" / "3.0.1"
    assert (folder / "arrays").is_dir()
    assert np.array_equal(load("mnist", tmp_path / "data").images, images)


def test_the_work_of_another_process_that_was_first_is_kept(tmp_path, monkeypatch):
    files, images, *_ = mnist_files()
    put(tmp_path / "own" / "manual", files, "mnist", monkeypatch)
    builder = BUILDERS["mnist"]
    read = builder._read

    def read_while_another_process_prepares(self, paths):
        monkeypatch.setattr(builder, "_read", read)
        prepare("mnist")
        return read(self, paths)

    monkeypatch.setattr(builder, "_read", read_while_another_process_prepares)
    assert np.array_equal(load("mnist").images, images)


def test_a_wrong_file_is_refused(tmp_path, monkeypatch):
    files, *_ = mnist_files()
    put(tmp_path / "own" / "manual", files, "mnist", monkeypatch)
    wrong = tmp_path / "own" / "manual" / "t10k-labels-idx1-ubyte.gz"
    wrong.write_bytes(b"<html>not here</html>")
    with pytest.raises(DataError, match="wrong checksum") as caught:
        load("mnist")
    assert str(wrong) in str(caught.value)
    assert "Delete that file and fetch it again" in str(caught.value)
    assert list((tmp_path / "own").glob("mnist/*/dataset_info.json")) == []


def test_images_and_labels_that_do_not_pair_are_refused(tmp_path, monkeypatch):
    files, *_ = mnist_files()
    files["train-labels-idx1-ubyte.gz"] = idx(np.zeros(29, np.uint8))
    put(tmp_path / "own" / "manual", files, "mnist", monkeypatch)
    with pytest.raises(DataError, match="mnist: 30 images but 29 labels in its train files"):
        load("mnist")


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server for `tmp_path/web`, and its address."""
    (tmp_path / "web").mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = partial(Handler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def move(name, url, monkeypatch):
    """Let the data set have its home at `url`, with the checksums it has."""
    infos = {url + old.rpartition("/")[2]: info for old, info in BUILDERS[name].url_infos.items()}
    monkeypatch.setattr(BUILDERS[name], "url_infos", infos)
    monkeypatch.setattr(BUILDERS[name], "URL", url)


def test_a_download_and_its_reuse(tmp_path, monkeypatch, server):
    files, images, *_ = mnist_files()
    put(tmp_path / "web" / "set", files, "mnist", monkeypatch)
    move("mnist", server + "set/", monkeypatch)
    assert np.array_equal(load("mnist").images, images)
    (tmp_path / "own" / "mnist" / "3.0.1").rename(tmp_path / "away")
    for path in (tmp_path / "web" / "set").iterdir():
        path.unlink()
    assert np.array_equal(load("mnist").images, images)


def test_a_server_without_the_files(monkeypatch, server):
    move("mnist", server + "set/", monkeypatch)
    with pytest.raises(DataError, match=r"mnist cannot be downloaded \(HTTP Error 404.*\)"):
        load("mnist")


def test_without_a_network_the_missing_files_are_named_at_once(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/set/"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files, *_ = mnist_files()
    put(tmp_path / "usb", files, "mnist", monkeypatch)
    move("mnist", url, monkeypatch)
    (tmp_path / "usb" / "train-images-idx3-ubyte.gz").unlink()
    (tmp_path / "usb" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as caught:
        prepare("mnist", manual_dir=tmp_path / "usb")
    assert str(caught.value).splitlines()[1:] == [
        f"  {url}train-images-idx3-ubyte.gz",
        f"  {url}t10k-labels-idx1-ubyte.gz",
        f"and put the files, under the names they have there, into {tmp_path / 'usb'}",
    ]


def examples(value):
    return {"train": [{"image": np.full((2, 3, 1), value, np.uint8), "label": 0}]}


def test_what_tfds_has_prepared_is_found_by_name(tmp_path, write_tfds):
    write_tfds(tmp_path / "tfds", "shapes", examples(1))
    assert load("shapes").images.max() == 1
    assert available() == (*BUILDERS, "shapes")
    write_tfds(tmp_path / "own", "shapes", examples(2), version="2.0.0")
    assert load("shapes").images.max() == 2
    write_tfds(tmp_path / "own", "shapes", examples(3), version="10.0.0")
    assert load("shapes").images.max() == 3
    write_tfds(tmp_path / "given", "shapes", examples(4))
    assert load("shapes", tmp_path / "given").images.max() == 4


def test_only_what_can_be_used_is_known_and_the_rest_has_its_reason(tmp_path, write_tfds, monkeypatch, capsys):
    doubles = {"image": np.zeros((2, 3, 1), np.float64), "label": 0}
    cube = {"image": np.zeros((2, 2, 2, 2), np.uint8), "label": 0}
    tensor = tfds.features.Tensor
    write_tfds(tmp_path / "own", "shapes", examples(1))
    write_tfds(tmp_path / "own", "doubles", {"train": [doubles]}, tensor(shape=(2, 3, 1), dtype=np.float64))
    write_tfds(tmp_path / "own", "cubes", {"train": [cube]}, tensor(shape=(2, 2, 2, 2), dtype=np.uint8))
    write_tfds(tmp_path / "tfds", "values", examples(1), label=tfds.features.Scalar(dtype=np.int64))
    write_tfds(tmp_path / "tfds", "tests", {"test": examples(1)["train"]})
    write_tfds(tmp_path / "tfds", "unpaired", examples(1), keys=("picture", "label"))
    write_tfds(tmp_path / "tfds", "_hidden", examples(1))
    info = write_tfds(tmp_path / "own", "records", examples(1)) / "dataset_info.json"
    info.write_text(info.read_text().replace('"fileFormat": "array_record"', '"fileFormat": "tfrecord"'))
    (write_tfds(tmp_path / "own", "torn", examples(1)) / "features.json").write_text("{")
    reasons = {
        "doubles": "its images are float64, not uint8 or float32",
        "cubes": "its image is no image, of two or three axes, and no vector, but Tensor",
        "values": "its label is no class, but Scalar",
        "tests": "it has no train split, but test",
        "unpaired": "it has no picture among its features, which are image, label",
        "_hidden": "a study cannot say this name",
        "records": "is not in the array_record format",
        "torn": "its description cannot be read",
    }
    assert available() == (*BUILDERS, "shapes")
    found = {name: known.refusal for name, known in catalog().items()}
    assert {name for name, reason in found.items() if not reason} == {*BUILDERS, "shapes"}
    assert found.keys() == {*BUILDERS, *reasons, "shapes"}
    for name, reason in reasons.items():
        assert reason in found[name]
        with pytest.raises(DataError):
            load(name if name != "_hidden" else "hidden")
    capsys.readouterr()
    assert cli.main(["data"]) == 0
    usable, rest = capsys.readouterr().out.split("\nprepared on this machine, but not to be used:\n")
    rows = [re.split("  +", row) for row in usable.splitlines()]
    assert [row[0] for row in rows] == ["data set", *BUILDERS, "shapes"]
    assert rows[4] == ["cifar10", "60,000", "32 × 32 × 3", "10", "prepared when first used"]
    assert rows[-1] == ["shapes", "1", "2 × 3 × 1", "3", f"in {tmp_path / 'own' / 'shapes' / '1.0.0'}"]
    assert rest == "".join(f"{name}: {found[name]}\n" for name in sorted(reasons))


def test_unfinished_versions_are_passed_over(tmp_path, write_tfds):
    folder = write_tfds(tmp_path / "own", "shapes", examples(1))
    folder.rename(folder.parent / "incomplete.ABCDEF_1.0.0")
    with pytest.raises(DataError, match="no data set is called 'shapes'"):
        load("shapes")


def test_a_single_configuration_needs_no_name(tmp_path, write_tfds):
    folder = write_tfds(tmp_path / "elsewhere", "shapes", examples(1))
    (tmp_path / "own" / "shapes" / "plain").mkdir(parents=True)
    folder.rename(tmp_path / "own" / "shapes" / "plain" / "1.0.0")
    assert load("shapes").images.max() == 1
    write_tfds(tmp_path / "own", "shapes", examples(2))
    with pytest.raises(DataError, match=r"shapes is prepared in several configurations.*shapes/plain/1.0.0"):
        load("shapes")


def test_another_format_is_refused_but_stands_not_in_the_way(tmp_path, write_tfds, monkeypatch):
    def as_tfrecord(name):
        info = write_tfds(tmp_path / "tfds", name, examples(1)) / "dataset_info.json"
        info.write_text(info.read_text().replace('"fileFormat": "array_record"', '"fileFormat": "tfrecord"'))

    as_tfrecord("shapes")
    with pytest.raises(DataError, match=r'shapes/1.0.0 is not in the array_record format.*file_format="array_record"'):
        load("shapes")
    as_tfrecord("mnist")
    files, images, *_ = mnist_files()
    put(tmp_path / "own" / "manual", files, "mnist", monkeypatch)
    assert np.array_equal(load("mnist").images, images)


@pytest.mark.parametrize(
    ("name", "nearest"), [("digit", "digits"), ("fashion-mnist", "fashion_mnist"), ("cifar_10", "cifar10")]
)
def test_an_unknown_name_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(DataError, match=rf"no data set is called '{name}'; did you mean '{nearest}'\? Known are"):
        load(name)


@pytest.mark.parametrize("name", ["", ".", "../digits", "a/b", "*", "no such thing"])
def test_a_name_is_no_path(tmp_path, digits_dir, name):
    with pytest.raises(DataError, match="no data set is called"):
        load(name, digits_dir / "digits")


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "own" / "digits" / "1.0.0").mkdir(parents=True)
    with pytest.raises(DataError, match=r"digits/1.0.0 is in the way of preparing digits.*delete it"):
        load("digits")


def test_a_damaged_description_is_named(tmp_path, write_tfds):
    (write_tfds(tmp_path / "own", "shapes", examples(1)) / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"shapes/1.0.0 has no readable dataset_info.json .* delete that folder"):
        load("shapes")


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"digits cannot be prepared in {tmp_path / 'file'}"):
        load("digits", tmp_path / "file")
