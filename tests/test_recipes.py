"""Studies include other files, below what they say themselves; the recipes that come with the project are studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bn_ablate.config import ConfigError, Study, load_study
from bn_ablate.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "configs" / "recipes"


def written(folder: Path, **files: str) -> Path:
    """TOML files by name; the first one's path."""
    for name, text in files.items():
        (folder / f"{name}.toml").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(files))}.toml"


def test_what_a_study_says_counts_key_by_key(tmp_path: Path) -> None:
    """And of several included files what the last one says."""
    path = written(
        tmp_path,
        s='name = "mine"\ninclude = ["a.toml", "b.toml"]\n[train]\nlearning_rate = 0.3\n[axes]\nwidth = [8, 16]',
        a='name = "a"\n[model]\ndepth = 5\nwidth = 7\n[train]\nlearning_rate = 0.1\nepochs = 3\nmomentum = 0.5',
        b="[model]\nwidth = 9\n[train]\nsteps = 20\n[axes]\ndepth = [1, 2]\nwidth = [32]",
    )
    study = load_study(path, ["train.batch_size=8"])
    assert (study.name, study.model.depth, study.model.width) == ("mine", 5, 9)
    train = study.train
    assert (train.learning_rate, train.momentum, train.batch_size, train.steps, train.epochs) == (0.3, 0.5, 8, 20, None)
    assert study.axes == {"depth": (1, 2), "width": (8, 16)}


def test_paths_are_relative_to_the_file_that_says_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "import bn_ablate as bn\n@bn.activation('{0}')\ndef {0}(z): return z * {1}"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "one.py").write_text(own.format("included_one", 2))
    (tmp_path / "two.py").write_text(own.format("included_two", 3))
    path = written(
        tmp_path,
        s='name = "s"\ninclude = "deep/er/a.toml"\nextensions = ["two.py"]\n'
        '[axes]\nactivation = ["included_one", "included_two"]',
        **{"deep/er/a": 'include = "../b.toml"', "deep/b": 'extensions = ["one.py"]\n[model]\nwidth = 8'},
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    study = load_study(path)
    assert study.model.width == 8
    assert [extension.file for extension in study.extensions] == ["deep/er/../one.py", "two.py"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"s": 'include = "s.toml"'}, r"s\.toml: 1 problem\n  include: comes back to itself: s.toml includes s.toml"),
        (
            {"s": 'include = "a.toml"', "a": 'include = ["b.toml"]', "b": 'include = "a.toml"'},
            r"b\.toml: 1 problem\n  include: comes back to itself: a.toml includes b.toml includes a.toml",
        ),
        (
            {"s": 'include = "cifar_resmet.toml"', "cifar_resnet": ""},
            r"include: = 'cifar_resmet.toml': there is no such file: .*cifar_resmet.toml; did you mean 'cifar_resnet",
        ),
        ({"s": "include = 3"}, "include: is 3: it must be the path of a TOML file, or a list of such"),
        ({"s": "include = ['a.toml', '']", "a": ""}, "it must be the path of a TOML file, or a list of such"),
        ({"s": 'include = "a.toml"', "a": "[train"}, r"a\.toml: 1 problem\n  is not TOML"),
        ({"s": 'include = "a.toml"', "a": "[train]\nstepz = 3"}, r"train.stepz: there is no such key"),
    ],
    ids=str,
)
def test_what_cannot_be_included_is_said(tmp_path: Path, files: dict[str, str], message: str) -> None:
    path = written(tmp_path, **files)
    with pytest.raises(ConfigError, match=message):
        load_study(path)


def test_a_study_may_keep_the_primary_hypotheses_of_what_it_includes_and_their_levels(tmp_path: Path) -> None:
    """Levels that only other hypotheses speak of go, and with them the exclusions of which nothing is left."""
    asked = (
        '[[hypotheses]]\nid = "{id}"\nclaim = "C7"\nprimary = {primary}\nkind = "contrast"\nstatement = "S"\n'
        'metric = "gap"\na = {a}\nb = {b}\n'
    )
    a, b, c = (f'{{ placement = "{level}", width = 8 }}' for level in ("pre", "none", "post"))
    path = written(
        tmp_path,
        s='name = "mine"\ninclude = "whole.toml"\nhypotheses = "primary"\n[axes]\ndepth = [3]',
        whole='name = "whole"\n[axes]\nplacement = ["none", "pre", "post"]\nwidth = [8, 16]\n'
        'learning_rate = [0.1, 0.2]\ndepth = [1, 2]\naffine = ["none", "both"]\n[[exclude]]\n'
        'placement = ["post", "none"]\naffine = "none"\n'
        '[[exclude]]\nwidth = 16\ndepth = 2\n[[exclude]]\nplacement = "pre"\naffine = "none"\n'
        + asked.format(id="kept", primary="true", a=a, b=b)
        + asked.format(id="gone", primary="false", a=a, b=c),
    )
    study = load_study(path)
    assert [hypothesis.id for hypothesis in study.hypotheses] == ["kept"]
    assert study.axes == {
        "placement": ("none", "pre"), "width": (8,), "learning_rate": (0.1, 0.2), "depth": (3,), "affine": ("both",)
    }  # fmt: skip
    assert study.exclude == ()
    with pytest.raises(ConfigError, match="hypotheses: is 'primary'"):
        load_study(written(tmp_path, alone='name = "alone"\nhypotheses = "primary"'))


def recipe(name: str) -> Study:
    return load_study(RECIPES / f"{name}.toml")


FACTS: dict[str, dict[str, Any]] = {
    # 0.27 million, as published
    "cifar_resnet": {"steps": 64000, "drops": (32000, 48000), "parameters": 269_722, "entry": (32, 32, 3)},
    "garbin_mlp": {"steps": 23438, "drops": (), "parameters": 784 * 1024 + 1024**2 + 1025 * 10 + 4096, "entry": (784,)},
    "garbin_cnn": {
        "steps": 78125,
        "drops": (),
        "parameters": 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 64 * 64 * 512 + 513 * 10 + 2 * (64 + 128 + 512),
        "entry": (32, 32, 3),
    },
    "ioffe_mnist": {"steps": 50000, "drops": (), "parameters": 78400 + 2 * 10000 + 1010 + 600, "entry": (784,)},
}
IMAGES = {"cifar10": (32, 32, 3), "mnist": (28, 28, 1)}


def test_every_recipe_is_here() -> None:
    assert {path.stem for path in RECIPES.glob("*.toml")} == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_recipes_are_what_was_published(name: str) -> None:
    """Parameters are those of linear maps, γ, β, and the head with its bias; blocks need no bias before or after BN."""
    study = recipe(name)
    plan = make_plan(study)
    (lane,) = {cell.settings for cell in plan.cells}
    layout = lane.model.layout(IMAGES[study.data.name], 10)
    train = lane.train
    assert {
        "steps": train.steps,
        "drops": train.drops if train.schedule == "step" else (),
        "parameters": sum(layer.kernel + 2 * layer.output[-1] for layer in layout.layers) + layout.head,
        "entry": layout.entry,
    } == FACTS[name]
    assert lane.notes() == []


def test_a_study_in_configs_includes_a_recipe(tmp_path: Path) -> None:
    """As docs/tutorials/own_study.md says it."""
    path = written(
        tmp_path,
        s=f'name = "placement"\ninclude = "{RECIPES / "garbin_mlp.toml"}"\n'
        '[train]\nsteps = 10\n[axes]\nplacement = ["none", "post"]',
    )
    study = load_study(path)
    assert (study.name, study.train.length, study.model.width) == ("placement", "10 steps", 1024)
    assert [cell.settings.norm.epsilon for cell in make_plan(study).cells] == [1e-5, 1e-3]


def test_the_perceptron_of_garbin_is_trained_as_published() -> None:
    """But for what `published/p2_garbin_mlp_5.toml` says: without BN from Glorot's weights, with BN from He's."""
    cells = make_plan(load_study(ROOT / "configs" / "replications" / "p2_garbin_mlp_5.toml")).cells
    for lane in (cell.settings for cell in cells):
        train, data, norm = lane.train, lane.data, lane.norm
        assert (train.optimizer, train.momentum, train.schedule, train.batch_size) == ("sgd", 0.0, "constant", 128)
        assert (train.weight_decay, train.clip_norm, train.label_smoothing, lane.dropout.rate) == (0.0, 0.0, 0.0, 0.0)
        assert (data.name, data.split, data.n_train, data.n_validation, data.n_test) == (
            "mnist",
            "official",
            60000,
            0,
            None,
        )
        assert (data.standardize, data.augment, data.random_labels) == ("unit", "none", 0.0)
        assert (lane.model.depth, lane.model.width, lane.model.activation) == (2, 1024, "relu")
        assert (lane.model.kernel_init == "he_normal") == (norm.placement == "post")
        if norm.placement == "post":
            assert (norm.momentum, norm.epsilon, norm.coverage, norm.affine) == (0.99, 1e-3, "all", "both")
