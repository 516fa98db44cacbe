"""Nothing that is read can run code: no pickle, and no array that may hold one.

Compiled programs are the exception: they are code, and `engine.executables` reads them from a folder that is the user's
alone (`tests/engine/test_executables.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
OF_THE_USERS_OWN = ROOT / "bn_ablate" / "engine" / "executables.py"
ARRAYS = {"load", "save", "savez", "savez_compressed", "lib.format.read_array"}


def faults(code: str) -> Iterator[str]:
    """What in `code` could unpickle something."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (f"imports {name}" for name in names if name.split(".")[0] in PICKLING)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            package, _, function = called.partition(".")
            said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if package in ("np", "numpy") and function in ARRAYS and said.get("allow_pickle") != "False":
                yield f"{called} without allow_pickle=False"
            if called in ("pd.read_pickle", "pandas.read_pickle"):
                yield called
            if called == "torch.load" and said.get("weights_only") != "True":
                yield f"{called} without weights_only=True"
            if called in ("eval", "exec"):
                yield called


@pytest.mark.parametrize("file", sorted((ROOT / "bn_ablate").rglob("*.py")), ids=lambda file: file.stem)
def test_the_package_unpickles_nothing(file: Path) -> None:
    expected = ["imports pickle"] if file == OF_THE_USERS_OWN else []
    assert list(faults(file.read_text(encoding="utf-8"))) == expected


@pytest.mark.parametrize(
    "planted",
    [
        "import pickle",
        "from joblib import load",
        "np.load(file)",
        "numpy.load(file, allow_pickle=True)",
        "np.savez(file, x=x)",
        "torch.load(file)",
        "eval(text)",
    ],
)
def test_what_would_is_found(planted: str) -> None:
    assert len(list(faults(planted))) == 1
