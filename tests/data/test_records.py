import io
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from bn_ablate.data import DataError, load
from bn_ablate.data.dataset import fingerprint
from bn_ablate.data.records import extent, open_arrays, read_records


def example(value, label, shape=(2, 3, 1)):
    return {"image": np.full(shape, value, np.uint8), "label": label}


def test_official_train_comes_first_then_test(tmp_path, write_tfds):
    splits = {"test": [example(30, 0)], "extra": [example(90, 1)], "train": [example(10, 2), example(20, 1)]}
    dataset = read_records(write_tfds(tmp_path, "shapes", splits, version="2.0.1"))
    assert (dataset.name, dataset.version, dataset.n_classes, dataset.n_official_train) == ("shapes", "2.0.1", 3, 2)
    assert dataset.images.shape == (3, 2, 3, 1)
    assert dataset.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert dataset.labels.tolist() == [2, 1, 0]
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int32)
    assert dataset.sha256 == fingerprint(dataset.images, dataset.labels)


def test_encoded_images_are_decoded(tmp_path, write_tfds):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 7, 3), dtype=np.uint8)
    examples = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="png")
        examples.append({"image": file.getvalue(), "label": 1})
    feature = tfds.features.Image(shape=(6, 7, 3))
    assert np.array_equal(read_records(write_tfds(tmp_path, "photos", {"train": examples}, feature)).images, pixels)


def test_grey_images_without_an_axis_of_channels_get_one(tmp_path, write_tfds):
    feature = tfds.features.Tensor(shape=(2, 3), dtype=np.uint8)
    folder = write_tfds(tmp_path, "grey", {"train": [example(5, 0, (2, 3))]}, feature, keys=None)
    assert read_records(folder).images.shape == (1, 2, 3, 1)


def test_many_examples_keep_their_order(tmp_path, write_tfds, monkeypatch):
    monkeypatch.setattr("bn_ablate.data.records._CHUNK", 4)
    dataset = read_records(write_tfds(tmp_path, "many", {"train": [example(i, i % 3) for i in range(11)]}))
    assert dataset.images[:, 0, 0, 0].tolist() == list(range(11))
    assert dataset.labels.tolist() == [i % 3 for i in range(11)]


def test_images_of_different_sizes_are_refused(tmp_path, write_tfds):
    feature = tfds.features.Tensor(shape=(None, None, 1), dtype=np.uint8, encoding="zlib")
    folder = write_tfds(tmp_path, "sizes", {"train": [example(1, 0), example(1, 0, (4, 3, 1))]}, feature)
    with pytest.raises(DataError, match=r"example 1 of train is \(4, 3, 1\), the first is \(2, 3, 1\)"):
        read_records(folder)


@pytest.mark.parametrize(("shape", "kept"), [((4,), (1, 1, 4)), ((2, 3), (2, 3, 1)), ((2, 3, 1), (2, 3, 1))], ids=str)
def test_floats_are_kept_and_vectors_are_images_of_one_pixel(tmp_path, write_tfds, shape, kept):
    rows = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    made = [{"image": row, "label": i % 3} for i, row in enumerate(rows)]
    folder = write_tfds(tmp_path, "rows", {"train": made}, tfds.features.Tensor(shape=shape, dtype=np.float32))
    assert extent(folder).image == kept
    dataset = open_arrays(folder)
    assert (dataset.images.dtype, dataset.images.shape) == (np.float32, (5, *kept))
    assert np.array_equal(dataset.images.reshape(rows.shape), rows)
    assert dataset.extent == extent(folder)


def test_floats_that_are_not_finite_are_refused(tmp_path, write_tfds):
    made = [{"image": np.array([0.0, value], np.float32), "label": 0} for value in (1.0, 2.0, np.nan)]
    folder = write_tfds(tmp_path, "rows", {"train": made}, tfds.features.Tensor(shape=(2,), dtype=np.float32))
    with pytest.raises(DataError, match="has values that are not finite numbers, first in example 2"):
        read_records(folder)


def test_missing_labels_are_refused(tmp_path, write_tfds):
    folder = write_tfds(tmp_path, "blind", {"train": [example(1, 0)], "test": [example(1, -1)]})
    with pytest.raises(DataError, match="examples without a label, or with one outside 0 to 2"):
        read_records(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"image": tfds.features.Tensor(shape=(2, 3, 1), dtype=np.float64)},
        {"label": tfds.features.Scalar(dtype=np.int64)},
        {"keys": ("image", "image")},
        {"splits": {"test": [example(1, 0)]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_nothing_to_train_on_is_refused(tmp_path, write_tfds, change):
    one = example(1, 0)
    if "image" in change:
        one["image"] = one["image"].astype(np.float64)
    folder = write_tfds(tmp_path, "other", **({"splits": {"train": [one]}} | change))
    with pytest.raises(DataError, match=r"other/1.0.0 is not a data set to train on"):
        read_records(folder)


def test_a_damaged_record_file_is_refused(tmp_path, write_tfds):
    folder = write_tfds(tmp_path, "torn", {"train": [example(i, 0) for i in range(5)]})
    (file,) = folder.glob("*array_record*")
    raw = bytearray(file.read_bytes())
    raw[70:90] = bytes(20)
    file.write_bytes(raw)
    with pytest.raises(DataError, match=r"torn/1.0.0 cannot be read \(.*\); delete it and prepare"):
        read_records(folder)


@pytest.fixture
def digits_copy(tmp_path, digits_dir):
    return shutil.copytree(digits_dir / "digits", tmp_path / "copy" / "digits") / "1.0.0"


def test_the_cache_is_what_the_records_hold(digits_copy, digits):
    assert isinstance(digits.images, np.memmap)
    records = read_records(digits_copy)
    assert np.array_equal(records.images, digits.images)
    assert np.array_equal(records.labels, digits.labels)
    assert records.sha256 == digits.sha256
    with pytest.raises(ValueError, match="read-only"):
        digits.images[0] = 0


def test_the_cache_is_used_and_made_again(digits_copy, digits):
    (records,) = digits_copy.glob("*array_record*")
    hidden = records.rename(digits_copy / "hidden")
    assert open_arrays(digits_copy).sha256 == digits.sha256
    hidden.rename(records)
    shutil.rmtree(digits_copy / "arrays")
    assert open_arrays(digits_copy).sha256 == digits.sha256
    assert sorted(path.name for path in digits_copy.iterdir() if path.is_dir()) == ["arrays"]


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "facts.json", "SHA256SUMS"])
@pytest.mark.parametrize("where", [0.0, 0.02, 0.5, 0.99])
def test_a_flipped_bit_is_found(digits_copy, file, where):
    path = digits_copy / "arrays" / file
    raw = bytearray(path.read_bytes())
    raw[int(where * len(raw))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"delete the folder {digits_copy / 'arrays'}") as caught:
        open_arrays(digits_copy)
    if file != "SHA256SUMS":
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "facts.json", "SHA256SUMS"])
def test_a_missing_file_is_found(digits_copy, file):
    (digits_copy / "arrays" / file).unlink()
    with pytest.raises(DataError, match=f"{file}.*delete the folder"):
        open_arrays(digits_copy)


def test_the_checksums_are_those_of_sha256sum(digits_copy, digits):
    import hashlib

    for line in (digits_copy / "arrays" / "SHA256SUMS").read_text().splitlines():
        digest, file = line.split("  ")
        assert hashlib.sha256((digits_copy / "arrays" / file).read_bytes()).hexdigest() == digest
    assert json.loads((digits_copy / "arrays" / "facts.json").read_text())["sha256"] == digits.sha256


def test_the_checksum_covers_images_labels_and_shape(digits):
    images, labels = np.array(digits.images), np.array(digits.labels)
    sums = {fingerprint(images, labels), fingerprint(images.reshape(-1, 16, 4, 1), labels)}
    images[5, 3, 3, 0] ^= 1
    sums.add(fingerprint(images, labels))
    labels[7] ^= 1
    sums.add(fingerprint(images, labels))
    assert len(sums) == 4


def test_a_folder_that_cannot_be_written_to_is_read_all_the_same(digits_copy, digits, monkeypatch):
    shutil.rmtree(digits_copy / "arrays")

    def refuse(*args, **kwargs):
        raise PermissionError("Read-only file system")

    monkeypatch.setattr("bn_ablate.data.records.tempfile.TemporaryDirectory", refuse)
    with pytest.warns(UserWarning, match=r"arrays cannot be written, so each run decodes digits anew \(Read-only"):
        dataset = load("digits", digits_copy.parent.parent)
    assert dataset.sha256 == digits.sha256
    assert not dataset.images.flags.writeable


def test_the_cache_of_another_process_that_was_first_is_kept(digits_copy, digits, monkeypatch):
    shutil.rmtree(digits_copy / "arrays")

    def read_while_another_process_does(folder, *file):
        monkeypatch.setattr("bn_ablate.data.records.read_records", read_records)
        assert open_arrays(folder).sha256 == digits.sha256
        return read_records(folder, *file)

    monkeypatch.setattr("bn_ablate.data.records.read_records", read_while_another_process_does)
    assert open_arrays(digits_copy).sha256 == digits.sha256


def reseal(cache):
    """Give the files of a cache the checksums that whole ones have."""
    import hashlib

    lines = (line.split("  ")[1] for line in (cache / "SHA256SUMS").read_text().splitlines())
    sums = (f"{hashlib.sha256((cache / file).read_bytes()).hexdigest()}  {file}\n" for file in lines)
    (cache / "SHA256SUMS").write_text("".join(sums))


def changed_labels(labels, value, kind=np.int32):
    labels = labels.astype(kind)
    labels[3] = value
    return labels


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        (lambda facts: facts | {"mood": 1}, "has the unknown key 'mood' in facts.json"),
        (lambda facts: {k: v for k, v in facts.items() if k != "version"}, "lacks the key 'version' in facts.json"),
        (lambda facts: facts | {"format": 2, "written_by": "bn_ablate 9"}, "written by bn_ablate 9, has format 2, and"),
        (
            lambda facts: facts | {"n_classes": "ten"},
            "has 'ten' for n_classes in facts.json, where",
        ),
        (lambda facts: facts | {"n_official_train": 10**6}, "has 1000000 official training examples of 1797"),
        (lambda facts: facts | {"n_classes": 9}, "has labels from 0 to 9, outside 0 to 8"),
        (lambda facts: facts | {"sha256": "0" * 64}, "are not those of the SHA-256 in facts.json"),
        (lambda facts: [facts], "facts.json that is no table"),
    ],
    ids=["unknown", "lacks", "format", "type", "train", "classes", "hash", "list"],
)
def test_facts_that_are_whole_and_wrong_are_refused(digits_copy, change, telling):
    file = digits_copy / "arrays" / "facts.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    reseal(file.parent)
    with pytest.raises(DataError, match=f"{telling}.*; delete the folder {file.parent}"):
        open_arrays(digits_copy)


@pytest.mark.parametrize(
    ("name", "change", "telling"),
    [
        ("labels", lambda labels: changed_labels(labels, -1), "has labels from -1 to 9, outside 0 to 9"),
        ("labels", lambda labels: changed_labels(labels, 99), "has labels from 0 to 99, outside 0 to 9"),
        ("labels", lambda labels: changed_labels(labels, np.nan, np.float32), "has labels of type float32"),
        ("labels", lambda labels: labels[:-5], r"has labels of type int32 and shape \(1792,\), where 1797 of int32"),
        ("labels", lambda labels: labels[::-1], "are not those of the SHA-256 in facts.json"),
        ("images", lambda images: np.where(images > 3, np.nan, images), "has images of type float64"),
        ("images", lambda images: images[..., 0], r"has images of type uint8 and shape \(1797, 8, 8\), where"),
        ("images", lambda images: images ^ 1, "are not those of the SHA-256 in facts.json"),
    ],
    ids=["-1", "99", "NaN labels", "fewer", "shuffled", "NaN images", "flat", "pixels"],
)
def test_arrays_that_are_whole_and_wrong_are_refused(digits_copy, name, change, telling):
    file = digits_copy / "arrays" / f"{name}.npy"
    np.save(file, change(np.load(file)))
    reseal(file.parent)
    with pytest.raises(DataError, match=f"written by bn_ablate .*{telling}.*; delete the folder {file.parent}"):
        open_arrays(digits_copy)


def test_a_cache_from_before_it_had_a_format_is_read(digits_copy, digits):
    file = digits_copy / "arrays" / "facts.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({key: facts[key] for key in facts if key not in ("format", "written_by")}))
    reseal(file.parent)
    assert open_arrays(digits_copy).sha256 == digits.sha256
