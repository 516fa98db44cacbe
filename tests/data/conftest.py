import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

import bn_ablate
from bn_ablate.data import Dataset, load
from tests.conftest import SHARED


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the user has prepared out of the tests, and the tests out of that."""
    monkeypatch.setenv("BN_ABLATE_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


@pytest.fixture(scope="session")
def start_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    """A function that starts Python on some code, in a world where importing TensorFlow ends the process."""
    trap = tmp_path_factory.mktemp("trap")
    (trap / "tensorflow").mkdir()
    (trap / "tensorflow" / "__init__.py").write_text("import os\nos._exit(99)\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(trap), str(Path(bn_ablate.__path__[0]).parent)])}

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", code, *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


LOAD_DIGITS = """
import sys
from pathlib import Path
import numpy as np
from bn_ablate.data import load
from bn_ablate.data.dataset import fingerprint

ours = load("digits", Path(sys.argv[1])).sha256
from sklearn.datasets import load_digits
theirs = load_digits()
print(ours, fingerprint(theirs.images[..., None].astype(np.uint8), theirs.target.astype(np.int32)))
"""


@pytest.fixture(scope="session")
def digits_run(
    tmp_path_factory: pytest.TempPathFactory, start_python: Callable[..., subprocess.Popen[str]]
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A data folder, and the process that loaded the digits into it and printed its checksum and scikit-learn's."""
    root = tmp_path_factory.mktemp("digits")
    process = start_python(LOAD_DIGITS, str(root))
    out, errors = process.communicate(timeout=120)
    return root, subprocess.CompletedProcess([], process.returncode, out, errors)


@pytest.fixture(scope="session")
def digits_dir() -> Path:
    """Where all tests have them, prepared."""
    load("digits", SHARED / "data")
    return SHARED / "data"


@pytest.fixture(scope="session")
def digits(digits_dir: Path) -> Dataset:
    return load("digits", digits_dir)


@pytest.fixture
def write_tfds() -> Callable[..., Path]:
    """A function that prepares a data set as any TFDS user would, and returns its folder."""

    def write(
        root: Path,
        name: str,
        splits: dict[str, list[dict[str, Any]]],
        image: Any = None,
        label: Any = None,
        keys: tuple[str, str] | None = ("image", "label"),
        version: str = "1.0.0",
    ) -> Path:
        class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version(version)

            def _info(self) -> tfds.core.DatasetInfo:
                features = {
                    "image": image or tfds.features.Tensor(shape=(2, 3, 1), dtype=np.uint8),
                    "label": label or tfds.features.ClassLabel(num_classes=3),
                }
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=keys,
                    disable_shuffling=True,
                )

            def _split_generators(self, dl_manager: Any) -> Any:
                return {split: self._generate_examples(examples) for split, examples in splits.items()}

            def _generate_examples(self, examples: list[dict[str, Any]]) -> Any:
                yield from enumerate(examples)

        Builder.name = name
        builder = Builder(data_dir=root)
        builder.download_and_prepare(file_format="array_record")
        return Path(builder.data_dir)

    return write
