"""Data of one's own: from image files, arrays and tables to a data set that is loaded by its name."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from bn_ablate.cli import main as cli
from bn_ablate.cli.progress_bar import count_progress
from bn_ablate.config.architectures import Extent
from bn_ablate.data import DataError, extent_of, load
from bn_ablate.data.imports import import_data
from bn_ablate.data.imports.class_folders import layout
from bn_ablate.data.imports.found import ImportArgumentError
from bn_ablate.data.imports.pictures import Pictures

RNG = np.random.default_rng(0)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.squeeze())
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def rgb(height: int = 4, width: int = 5) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, raw in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(raw)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


# Class folders.


@pytest.mark.parametrize(
    ("names", "splits", "remarks"),
    [
        ("b/1.png a/2.JPG a/1.jpeg", {"train": "a/1.jpeg:a a/2.JPG:a b/1.png:b"}, 0),
        (
            "train/a/1.png train/b/1.png test/a/1.png",
            {"train": "train/a/1.png:a train/b/1.png:b", "test": "test/a/1.png:a"},
            0,
        ),
        (
            "x/y/training/0/1.png x/y/testing/0/1.png",
            {"train": "x/y/training/0/1.png:0", "test": "x/y/testing/0/1.png:0"},
            0,
        ),
        ("photos/a/1.png photos/b/1.png", {"train": "photos/a/1.png:a photos/b/1.png:b"}, 0),
        ("train/a/1.png train/b/1.png", {"train": "train/a/1.png:a train/b/1.png:b"}, 0),
        ("a/deep/er/1.png b/1.png", {"train": "a/deep/er/1.png:a b/1.png:b"}, 0),
        ("train/1.png test/1.png", {"train": "test/1.png:test train/1.png:train"}, 0),
        ("test/a/1.png other/a/1.png", {"train": "other/a/1.png:other test/a/1.png:test"}, 0),
        ("train/a/1.png val/a/1.png val/a/2.png README.md train/a/t.csv", {"train": "train/a/1.png:a"}, 2),
        (".DS_Store a/._1.png a/1.png __MACOSX/a/1.png b/1.png", {"train": "a/1.png:a b/1.png:b"}, 0),
    ],
)
def test_classes_and_splits_follow_from_the_names_of_folders(names, splits, remarks):
    found = layout(names.split(), "here")
    assert {split: " ".join(map(":".join, images)) for split, images in found.splits.items()} == splits
    assert len(found.remarks) == remarks
    if remarks:
        assert found.remarks == (
            "2 files that are no images were left out",
            "2 images in val were left out: examples come from train and test",
        )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a/notes.txt", "here holds no images; they are expected in a folder for each class, as cats/1.png"),
        ("1.png a/1.png", "here/1.png lies in no folder of a class"),
        ("train/1.png train/a/1.png", "here/train/1.png lies in no folder of a class"),
    ],
)
def test_images_without_a_class_are_refused(names, message):
    with pytest.raises(DataError, match=re.escape(message)):
        layout(names.split(), "here")


@pytest.fixture(scope="module")
def colours() -> tuple[dict[str, bytes], np.ndarray]:
    """Images in class folders, and what they are to become: 2 × 2 to train on, and one to test on."""
    pixels = [rgb() for _ in range(4)]
    grey = RNG.integers(0, 256, (4, 5, 1), np.uint8)
    files = {
        "train/9/b.png": encoded(pixels[1]),
        "train/9/a.bmp": encoded(pixels[0], "BMP"),
        "train/10/a.png": encoded(grey),
        "train/10/b.png": encoded(Image.fromarray(pixels[2]).convert("RGBA")),
        "test/9/x.png": encoded(pixels[3]),
    }
    return files, np.stack([grey.repeat(3, axis=2), pixels[2], pixels[0], pixels[1], pixels[3]])


def test_a_folder_and_a_zip_of_it_become_the_same_data_set(tmp_path, colours):
    files, expected = colours
    folder = put(tmp_path / "photos", files)
    shown = []
    made = import_data("photos", folder, progress=lambda *said: shown.append(said))
    assert made.folder == tmp_path / "own" / "photos" / "1.0.0"
    assert made.classes == ("9", "10")
    data = load("photos")
    # the files of a class in the order of their names, and folders too: 10 before 9; classes by their number
    assert np.array_equal(data.images, expected)
    assert data.labels.tolist() == [1, 1, 0, 0, 0]
    assert (data.n_official_train, data.n_classes, data.sha256) == (4, 2, made.dataset.sha256)
    assert shown == [
        *(("looking at images", i, 5) for i in range(1, 6)),
        *(("writing examples", i, 5) for i in range(1, 6)),
        ("packing arrays", 0, 1),
    ]
    again = import_data("zipped", zipped(tmp_path / "photos.zip", files))
    assert again.dataset.sha256 == data.sha256
    records = [json.loads((folder / "metadata.json").read_text()) for folder in (made.folder, again.folder)]
    assert records[0]["source_sha256"] == records[1]["source_sha256"]
    assert records[0]["imported_from"] == str(tmp_path / "photos")
    assert (made.folder / "label.labels.txt").read_text().split() == ["9", "10"]


def test_all_grey_images_have_one_channel(tmp_path):
    pixels = RNG.integers(0, 256, (4, 3, 4, 1), np.uint8)
    files = {f"{name}/{i}.png": encoded(pixels[2 * k + i]) for k, name in enumerate("ab") for i in (0, 1)}
    assert np.array_equal(import_data("grey", put(tmp_path / "g", files)).dataset.images, pixels)


def test_images_of_several_sizes_are_brought_to_one_on_request(tmp_path):
    flat = {f"{name}/{i}.png": encoded(np.full((4, 4 + i, 3), 50 * i, np.uint8)) for name in "ab" for i in (0, 0, 1)}
    folder = put(tmp_path / "mixed", flat | {"b/2.png": encoded(np.full((4, 4, 3), 9, np.uint8))})
    with pytest.raises(DataError) as caught:
        import_data("mixed", folder)
    assert str(caught.value) == (
        f"{folder}/a/1.png is 4 × 5 (height × width), and most images, 3 of 5, are 4 × 4: networks take one size; "
        "--resize 4x4 makes all images that"
    )
    images = import_data("mixed", folder, resize=(2, 3)).dataset.images
    assert images.shape == (5, 2, 3, 3)
    assert [np.unique(image).tolist() for image in images] == [[0], [50], [0], [50], [9]]


def read_one(raw: bytes, channels: int = 3) -> np.ndarray:
    def raws(split: str) -> Iterator[tuple[str, bytes]]:
        yield "a.png", raw

    pictures = Pictures("here/", {"train": 1}, raws, None)
    pictures.survey(lambda *said: None)
    return next(pictures.decoded("train", channels))


def test_colours_by_hand():
    opaque = Image.new("RGBA", (2, 1), (1, 2, 3, 255))
    assert read_one(encoded(opaque)).tolist() == [[[1, 2, 3]] * 2]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 7, 8, 9])
    assert read_one(encoded(palette)).tolist() == [[[7, 8, 9]] * 2]
    assert read_one(encoded(Image.new("1", (2, 1), 1)), 1).tolist() == [[[255]] * 2]
    assert read_one(encoded(Image.new("LA", (2, 1), (7, 255))), 1).tolist() == [[[7]] * 2]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"<html>not here</html>", "here/a.png cannot be read as an image: it is in no format that is known"),
        (encoded(rgb(40, 40))[:-900], "here/a.png cannot be read as an image: "),
        (encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 254))), "here/a.png is transparent in places"),
        (encoded(Image.new("I;16", (2, 2), 1)), "here/a.png has pixels of mode I;16, not 8 bits a value"),
        (
            encoded(Image.new("L", (2, 2), 1), "GIF", save_all=True, append_images=[Image.new("L", (2, 2), 9)]),
            "here/a.png holds 2 images",
        ),
    ],
    ids=["html", "cut", "transparent", "16 bits", "frames"],
)
def test_images_that_cannot_be_used_are_named(raw, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read_one(raw)


def test_a_damaged_file_leaves_nothing_behind(tmp_path, colours):
    files, _ = colours
    folder = put(tmp_path / "photos", files | {"train/9/b.png": files["train/9/b.png"][:60]})
    with pytest.raises(DataError, match=re.escape(f"{folder}/train/9/b.png cannot be read as an image")):
        import_data("photos", folder)
    assert list((tmp_path / "own").iterdir()) == []
    torn = zipped(tmp_path / "torn.zip", files)
    raw = bytearray(torn.read_bytes())
    raw[raw.index(files["train/9/b.png"]) + 40] ^= 1
    torn.write_bytes(raw)
    with pytest.raises(DataError, match=r"torn.zip/train/9/b.png cannot be read: Bad CRC-32"):
        import_data("photos", torn)
    torn.write_bytes(raw[:-30])
    with pytest.raises(DataError, match=r"torn.zip is not a whole zip file"):
        import_data("photos", torn)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_that_is_damaged_in_a_zip_is_named_however_it_was_packed(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
            archive.writestr(name, bytes(range(256)) * 40)
    content = bytearray(path.read_bytes())
    begin = content.index(b"a/1.png") + len("a/1.png")
    content[begin : begin + 40] = bytes(byte ^ 0xFF for byte in content[begin : begin + 40])
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.zip/a/1.png cannot be read"):
        import_data("damaged", path)


# Arrays.


def test_arrays_keep_their_type_and_labels_their_names(tmp_path):
    x, x_test = RNG.normal(size=(6, 3, 2)), RNG.normal(size=(2, 3, 2))
    y, y_test = np.array([["b"], ["a"], ["b"], ["a"], ["b"], ["c"]]), np.array([["c"], ["a"]])
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    made = import_data("arrays", tmp_path / "a.npz")
    assert made.classes == ("a", "b", "c")
    assert made.dataset.images.dtype == np.float32
    assert np.array_equal(made.dataset.images[..., 0], np.concatenate([x, x_test]).astype(np.float32))
    assert made.dataset.labels.tolist() == [1, 0, 1, 0, 1, 2, 2, 0]
    assert made.dataset.n_official_train == 6
    raw = RNG.integers(0, 256, (4, 7), np.uint8)
    np.savez(tmp_path / "b.npz", x=raw, y=np.array([5.0, 5.0, -1.0, -1.0]))
    made = import_data("bytes", tmp_path / "b.npz")
    assert (made.dataset.images.dtype, made.classes, made.dataset.labels.tolist()) == (
        np.uint8,
        ("-1", "5"),
        [1, 1, 0, 0],
    )
    assert np.array_equal(made.dataset.images, raw.reshape(4, 1, 1, 7))


NAN = np.where(np.arange(12).reshape(4, 3) == 7, np.nan, 1.0)
GOOD = {"x": np.ones((4, 3)), "y": np.array([0, 1, 0, 1])}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": GOOD["x"]}, "has no array y; x and y, or x_train, y_train, x_test and y_test are read"),
        ({"images": GOOD["x"]}, "has no array x_train;"),
        (GOOD | {"x_test": GOOD["x"]}, "has no array y_test;"),
        (GOOD | {"x": NAN}, "a.npz: x[2] holds values that are not finite numbers of float32"),
        (GOOD | {"x": GOOD["x"].astype(int)}, "a.npz: x is int64; uint8 and floats are taken"),
        (GOOD | {"x": np.ones(4)}, "a.npz: x has the shape (4,); images are"),
        (GOOD | {"y": np.eye(4)}, "a.npz: y is float64 of shape (4, 4); a label for each of the 4 examples"),
        (GOOD | {"y": GOOD["y"][:3]}, "a.npz: y is int64 of shape (3,); a label for each"),
        (GOOD | {"y": np.array([0, 1, 0.5, 1])}, "a.npz: y[2] is 0.5: a label is a whole number or a word"),
        (GOOD | {"y": np.array([0, 1, np.nan, 1])}, "a.npz: y[2] is nan: a label"),
        (GOOD | {"y": np.zeros(4, int)}, "a.npz has 1 class: 0; two are needed"),
        (GOOD | {"y": np.arange(4)}, "a.npz has as many classes as examples, 4"),
        (GOOD | {"y": np.array(["a", "b\n", "a", "a"])}, r"has a class of the name 'b\n', which cannot be shown"),
        (GOOD | {"y": np.array(["a", None], object)}, "cannot be read as a .npz file of plain arrays: Object arrays"),
        (GOOD | {"x_test": np.ones((4, 2)), "y_test": GOOD["y"]}, "x_test has examples of shape (2,)"),
        (GOOD | {"x_test": GOOD["x"], "y_test": GOOD["y"] + 1}, "has the class 2 among its test examples"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=re.escape(message)):
        import_data("arrays", tmp_path / "a.npz")
    assert not (tmp_path / "own").exists()


# Tables.

ROWS = "sepal,petal,id,kind\n1.5,2,7,iris\n-3e2,0.25,8,rose\n4,5,9,iris\n"


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_the_rows_of_a_table_are_vectors(tmp_path, kind):
    path = tmp_path / f"flowers.{kind}"
    if kind == "parquet":
        pl.read_csv(io.StringIO(ROWS)).write_parquet(path)
    else:
        path.write_text(ROWS.replace(",", "\t") if kind == "tsv" else ROWS)
    made = import_data("flowers", path, label="kind", drop=("id",))
    assert made.classes == ("iris", "rose")
    assert extent_of("flowers") == made.dataset.extent == Extent((1, 1, 2), 2, 3, itemsize=4)
    assert made.dataset.images.dtype == np.float32
    assert made.dataset.images.reshape(3, 2).tolist() == [[1.5, 2.0], [-300.0, 0.25], [4.0, 5.0]]
    assert made.dataset.labels.tolist() == [0, 1, 0]
    record = json.loads((made.folder / "metadata.json").read_text())
    assert record["options"] == {"label": "kind", "drop": ["id"]}


@pytest.mark.parametrize(
    ("rows", "options", "status", "message"),
    [
        (ROWS, {}, 2, "flowers.csv is a table: --label COLUMN says which column holds the classes. Its"),
        (ROWS, {"label": "kinds"}, 2, "--label kinds is none of its columns; did you mean 'kind'?"),
        (ROWS, {"label": "kind", "drop": ("ID",)}, 2, "--drop ID is none of its columns"),
        (ROWS, {"label": "kind", "resize": (2, 2)}, 2, "--resize is for image files, and "),
        (ROWS, {"label": "sepal"}, 1, "column sepal[0] is 1.5: a label is a whole number or a word"),
        (ROWS, {"label": "id"}, 1, "column id: has as many classes as examples, 3"),
        (ROWS + "1,2,3,\n", {"label": "kind"}, 1, "flowers.csv, row 4: the label, in column kind, is missing"),
        (ROWS + "1,,3,rose\n", {"label": "kind"}, 1, "flowers.csv, row 4: the value in column petal is missing"),
        (ROWS + "1,NaN,3,rose\n", {"label": "kind"}, 1, "flowers.csv, row 4: nan in column petal is no finite number"),
        (ROWS + "1,1e39,3,rose\n", {"label": "kind"}, 1, "row 4: 1e+39 in column petal is no finite number of float32"),
        (ROWS + "1,n/a,3,rose\n", {"label": "kind"}, 1, "flowers.csv, row 4: 'n/a' in column petal is no number"),
        (ROWS + "1,2,3,rose,5\n", {"label": "kind"}, 1, "flowers.csv cannot be read as a table: "),
        ("", {"label": "kind"}, 1, "flowers.csv cannot be read as a table: "),
        ("a,kind,b\nx,1,1\ny,2,2\nz,1,1\n", {"label": "kind"}, 1, "column a holds words, as 'x'; write"),
        ("kind\n1\n2\n1\n", {"label": "kind"}, 2, "flowers.csv has no column besides its labels"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_named(tmp_path, rows, options, status, message):
    path = tmp_path / "flowers.csv"
    path.write_text(rows)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        import_data("flowers", path, **options)
    assert caught.value.status == status
    assert str(path) in str(caught.value)


def test_images_in_a_column_are_those_of_hugging_face(tmp_path):
    pixels = [rgb() for _ in range(4)]
    column = [{"bytes": encoded(image), "path": None} for image in pixels]
    pl.DataFrame({"image": column, "label": [0, 1, 0, 1]}).write_parquet(tmp_path / "h.parquet")
    assert np.array_equal(
        import_data("parquet", tmp_path / "h.parquet", label="label").dataset.images, np.stack(pixels)
    )
    column[2] = {"bytes": None, "path": "elsewhere.png"}
    pl.DataFrame({"image": column, "label": [0, 1, 0, 1]}).write_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError, match="row 3 of train has no image in column image, but at best the name of a file"):
        import_data("other", tmp_path / "h.parquet", label="label")


def saved(folder: Path, frame: pl.DataFrame, features: dict[str, Any]) -> None:
    """Files as `Dataset.save_to_disk` writes them."""
    folder.mkdir(parents=True)
    frame.write_ipc_stream(folder / "data-00000-of-00001.arrow", compat_level=pl.CompatLevel.oldest())
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def test_what_datasets_has_saved_is_read_with_its_splits_and_names(tmp_path):
    features = {"image": {"_type": "Image"}, "kind": {"names": ["cat", "ant"], "_type": "ClassLabel"}}
    pixels = [rgb() for _ in range(6)]
    for split, own in (("train", slice(4)), ("test", slice(4, 6)), ("validation", slice(2))):
        column = [{"bytes": encoded(image), "path": None} for image in pixels[own]]
        frame = pl.DataFrame({"image": column, "kind": [0, 1, 0, 1][: len(column)]})
        saved(tmp_path / "pets" / split, frame, features)
    (tmp_path / "pets" / "dataset_dict.json").write_text('{"splits": ["train", "test", "validation"]}')
    made = import_data("pets", tmp_path / "pets")
    assert made.classes == ("cat", "ant")
    assert made.dataset.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert made.dataset.n_official_train == 4
    assert np.array_equal(made.dataset.images, np.stack(pixels))
    assert made.remarks == ("the split validation was left out: examples come from train and test",)
    (tmp_path / "pets" / "test" / "state.json").unlink()
    with pytest.raises(DataError, match="pets cannot be read as a data set saved by `datasets`"):
        import_data("others", tmp_path / "pets")


# Names, what is there already, and the command.


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my flowers", "'my flowers' is no name for a data set: letters, digits and _"),
        ("import", "import is a word of the command"),
        ("mnist", "mnist is a data set that bn-ablate prepares itself; choose another name, as my_mnist"),
    ],
)
def test_names_that_cannot_be_are_refused(flowers, name, message):
    with pytest.raises(ImportArgumentError, match=message):
        import_data(name, flowers, label="kind")


def test_an_import_is_replaced_on_request_and_only_by_one_that_is_whole(tmp_path, flowers, write_tfds):
    first = import_data("flowers", flowers, label="kind", drop=("id",)).dataset
    with pytest.raises(ImportArgumentError) as caught:
        import_data("flowers", flowers, label="kind")
    assert str(caught.value) == f"flowers is there already, imported from {flowers}; --overwrite replaces it"
    flowers.write_text(ROWS + "1,2,3,\n")
    with pytest.raises(DataError, match="row 4"):
        import_data("flowers", flowers, label="kind", overwrite=True)
    assert load("flowers").sha256 == first.sha256
    flowers.write_text(ROWS + "1,2,3,rose\n")
    import_data("flowers", flowers, label="kind", overwrite=True)
    assert load("flowers").extent == Extent((1, 1, 3), 2, 4, itemsize=4)
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["flowers"]
    example = {"train": [{"image": np.zeros((2, 3, 1), np.uint8), "label": 0}]}
    write_tfds(tmp_path / "own", "made_by_hand", example)
    write_tfds(tmp_path / "tfds", "of_tfds", example)
    for name, said in (("made_by_hand", "was not imported, and is not replaced"), ("of_tfds", "is a data set of TFDS")):
        with pytest.raises(ImportArgumentError, match=said):
            import_data(name, flowers, label="kind", overwrite=True)


@pytest.fixture
def bn(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line: its status, what it prints, and what it says of errors."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as ended:
            status = int(str(ended.code))
        return status, *capsys.readouterr()

    return call


def test_the_command_imports_lists_and_a_study_takes_what_fits_it(tmp_path, flowers, bn):
    status, said, errors = bn("data", "import", "flowers", flowers, "--label", "kind", "--drop", "id")
    assert (status, errors) == (0, "")
    assert said.startswith("flowers: 3 examples of 2 numbers, 2 classes (iris, rose)\nimported into ")
    status, said, errors = bn("data")
    row = next(line for line in said.splitlines() if line.startswith("flowers"))
    assert re.split("  +", row) == ["flowers", "3", "2 numbers", "2", f"imported from {flowers}"]
    study = tmp_path / "study.toml"
    sizes = "n_train = 1\nn_validation = 1\nn_test = 1"
    study.write_text(f'name = "s"\nseeds = 1\n[data]\nname = "flowers"\n{sizes}\n[train]\nbatch_size = 1\n')
    status, _, errors = bn("plan", study, "--set", "model.architecture=cnn", "--set", "model.depth=2")
    assert status == 2
    assert "cnn takes images, and flowers holds vectors; an mlp takes them" in errors
    status, said, _ = bn("plan", study)
    assert status == 0
    status, _, errors = bn("data", "import", "x", flowers, "--resize", "8 × 8")
    assert (status, errors.partition(";")[0]) == (2, "bn-ablate: --resize: '8 × 8' is no size")
    for path, said in ((flowers / "x", "is no file and no folder"), (study, "is of no kind that is imported")):
        status, _, errors = bn("data", "import", "x", path)
        assert (status, errors.startswith(f"bn-ablate: {path} {said}")) == (2, True)
    status, _, errors = bn("data", "import", "x")
    assert (status, "PATH" in errors) == (2, True)


def test_progress_is_a_bar_on_a_terminal_alone():
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
        with count_progress(console) as progress:
            progress("writing examples", 300, 1000)
        shown = console.file.getvalue()
        assert ("writing examples" in shown and " 300/1000" in shown) is terminal
        assert bool(shown) is terminal
