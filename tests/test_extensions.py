"""Parts of a user's own: what an extension adds, which lanes have it in their ids, and what is never run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.cli import main as cli
from bn_ablate.config import extensions
from bn_ablate.config.registry import REGISTRIES, Registry
from bn_ablate.nn import ACTIVATIONS, slope
from bn_ablate.plan import lane_id

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_parts.py"
TABLE = {
    "name": "own",
    "seeds": 1,
    "model": {"depth": 1, "width": 4},
    "train": {"steps": 4, "batch_size": 16, "learning_rate": 0.01},
    "measure": {"every": 4, "probe": 16},
    "axes": {"activation": ["relu", "mish"]},
}
SQUARE = "import bn_ablate as bn\n\n@bn.activation('square')\ndef square(z):\n    return z * z\n"


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    yield
    for path in tuple(extensions.LOADED):
        extensions.forget(path)


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def named(*names: str) -> dict[str, object]:
    return TABLE | {"axes": {"activation": ["relu", *names]}}


def ids(study: bn.Study) -> dict[str, str]:
    return {lane.cell.levels["activation"]: lane.id for lane in bn.make_plan(study).lanes}


def test_a_name_is_known_once_its_file_was_given() -> None:
    with pytest.raises(bn.ConfigError, match="'mish' is none of identity, sigmoid"):
        bn.build_study(TABLE)
    study = bn.build_study(TABLE, extensions=[EXAMPLE])
    digest = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    (extension,) = study.extensions
    assert (extension.sha256, extension.provides) == (digest, {"activation": ("mish",), "optimizer": ("lion",)})
    with pytest.raises(bn.ConfigError, match="did you mean 'mish'"):
        bn.build_study(named("mihs"), extensions=[EXAMPLE])


def test_the_source_of_what_a_lane_uses_is_in_its_id(tmp_path: Path) -> None:
    plain = bn.build_study(named("tanh"))
    file = written(tmp_path, SQUARE)
    before = ids(bn.build_study(named("square", "tanh"), extensions=[file]))
    assert {name: before[name] for name in ("relu", "tanh")} == ids(plain)
    file.write_text(SQUARE.replace("z * z", "z * z * z"))
    after = ids(bn.build_study(named("square", "tanh"), extensions=[file]))
    assert after["square"] != before["square"]
    assert {name: after[name] for name in ("relu", "tanh")} == ids(plain)
    z = jnp.array([2.0])
    assert ACTIVATIONS["square"].function(z) == 8.0  # the file as it is now


def test_a_study_names_its_files_from_its_own_folder(tmp_path: Path) -> None:
    written(tmp_path, SQUARE)
    study = written(tmp_path, 'name = "own"\nextensions = ["mine.py"]\nmodel.activation = "square"\n', "own.toml")
    assert bn.load_study(study).extensions[0].file == "mine.py"
    with pytest.raises(bn.ConfigError, match=r"gone\.py: cannot be read: No such file"):
        bn.load_study(written(tmp_path, 'name = "own"\nextensions = ["gone.py"]\n', "own.toml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "registers nothing"),
        ("import bn_ablate as bn\n\nbn.activation('relu')(abs)\n", "the activation 'relu' is one of bn_ablate's own"),
        (
            "import bn_ablate as bn\n\nbn.activation('My Act')(abs)\n",
            "'My Act' cannot be the name of",
        ),
        ("def broken(:\n", "SyntaxError"),
        ("1 / 0\n", "mine.py: fails"),
        ("import sys\nsys.exit('enough')\n", "SystemExit: enough"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = written(tmp_path, 'name = "own"\nextensions = ["mine.py"]\n', "own.toml")
    written(tmp_path, text)
    assert cli.main(["plan", str(study)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("File") == 0 or "mine.py" in error[error.index("File") :].split("\n")[0]  # it begins in theirs
    assert not any(registry.origin(name) for registry in REGISTRIES.values() for name in registry)
    assert not extensions.LOADED


def test_two_files_cannot_give_one_name(tmp_path: Path) -> None:
    files = [written(tmp_path, SQUARE, name) for name in ("one.py", "two.py")]
    with pytest.raises(extensions.ExtensionError, match=r"'square' is that of one\.py already"):
        bn.build_study(named("square"), extensions=files)


def test_what_python_code_registers_is_known_by_its_source() -> None:
    def cube(z: jax.Array) -> jax.Array:
        return z**3

    bn.activation("cube", max_slope=3.0)(cube)
    (extension,) = bn.build_study(named("cube")).extensions
    assert (extension.file, extension.provides) == ("test_extensions.py", {"activation": ("cube",)})
    assert bn.build_study(named()).extensions == ()
    exec("def nowhere(z): return z", scope := {})
    with pytest.raises(ValueError, match="cannot be found"):
        bn.activation("nowhere")(scope["nowhere"])
    ACTIVATIONS.remove(ACTIVATIONS.origin("cube"))


def test_ours_have_values_and_stay() -> None:
    import_module("bn_ablate.analysis.figures.claims")
    for registry in (value for value in REGISTRIES.values() if isinstance(value, Registry)):
        assert all(registry[name] is not None and registry.origin(name) is None for name in registry.own)


def test_slopes_are_found_by_jax_where_they_are_not_given() -> None:
    bn.load_extension(EXAMPLE)
    z = np.linspace(-6, 6, 240, dtype=np.float32).reshape(3, -1)
    tanh, soft = np.tanh(np.log1p(np.exp(z))), 1 / (1 + np.exp(-z))
    hand = tanh + z * (1 - tanh**2) * soft
    greatest = 1.0884  # of the derivative of Mish, near z = 1.49
    assert slope(("mish",), 0, jnp.asarray(z)) == pytest.approx(np.abs(hand) / greatest, abs=1e-4)


@pytest.mark.usefixtures("draw_little")
def test_what_came_with_results_is_run_when_asked_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bn_ablate.engine.set_up", lambda device: None)
    for file in (EXAMPLE, EXAMPLE.with_suffix(".toml")):
        shutil.copy(file, tmp_path)
    study, folder = tmp_path / "own_parts.toml", tmp_path / "results" / "own_parts"
    small = [word for key in ("seeds=1", "model.depth=1", "model.width=4", "train.steps=4") for word in ("--set", key)]
    run = ["run", str(study), *small, "--results", str(tmp_path / "results"), "--wandb", "disabled"]
    assert cli.main(run) == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    (kept,) = (folder / "extensions").glob("*/*.py")
    assert kept.read_bytes() == EXAMPLE.read_bytes()
    assert f"extensions/{kept.parent.name}/{kept.name}" in manifest["files"]
    stored = sorted((folder / "shards").rglob("*.parquet"))

    extensions.forget((tmp_path / "own_parts.py").resolve())
    assert cli.main(["report", str(folder)]) == 0  # reads names, and runs nothing
    assert not extensions.LOADED
    capsys.readouterr()
    assert cli.main(["verify", str(folder), "--rerun", "1"]) == 2
    assert "give the very file with --extension" in capsys.readouterr().err
    assert cli.main(["verify", str(folder), "--rerun", "1", "--trust-extension"]) == 0
    assert "1 the same to the bit" in capsys.readouterr().out

    source = tmp_path / "own_parts.py"
    source.write_text(source.read_text().replace("z * jnp.tanh", "0.5 * z * jnp.tanh"))
    assert cli.main(["verify", str(folder), "--rerun", "1", "--extension", str(source)]) == 2
    assert "that which was loaded has" in capsys.readouterr().err

    source.write_text(source.read_text().replace("0.5 * z * jnp.tanh", "jnp.nonsense"))
    assert cli.main(run) == 2
    error = capsys.readouterr().err
    assert f"{source}: fails" in error
    assert "in mish" in error
    assert "nonsense" in error
    assert sorted((folder / "shards").rglob("*.parquet")) == stored  # what was finished stays


def test_a_manifest_runs_nothing(tmp_path: Path) -> None:
    written(tmp_path, "raise SystemExit('was run')\n")
    with pytest.raises(bn.ConfigError, match=r"extensions\[0\]"):
        bn.build_study(TABLE | {"extensions": [str(tmp_path / "mine.py")]}, trusted=False)


def test_a_kind_of_part_that_this_version_has_not_is_said() -> None:
    study = bn.build_study(named())
    strange = extensions.Extension(file="later.py", sha256="0" * 64, provides={"sampler": ("mine",)})
    with pytest.raises(bn.ConfigError, match=r"later\.py provides a sampler, which this version does not know"):
        extensions.require(study.model_copy(update={"extensions": (strange,)}))


def test_a_lane_keeps_of_the_users_parts_what_it_uses() -> None:
    study = bn.build_study(TABLE, extensions=[EXAMPLE])
    relu, mish = (cell.settings for cell in bn.make_plan(study).cells)
    assert (len(relu.own), [own.name for own in mish.own]) == (0, ["mish"])
    assert lane_id(mish, 0) != lane_id(mish.model_copy(update={"own": ()}), 0)
