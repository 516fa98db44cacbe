"""Every mistake in a study file gets a sentence: the key, what is wrong with it, and what could stand there."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from bn_ablate.config import ConfigError, load_study
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.metrics import metrics
from bn_ablate.config.names import ACTIVATIONS, COVERAGES, OPTIMIZERS

AXES = """
    [axes]
    placement = ["none", "pre", "post"]
    dropout_rate = [0.0, 0.5]
"""


def contrast(**changes: str) -> str:
    """A study with one hypothesis, some of whose keys have the TOML values given; an empty one leaves the key out."""
    keys = {
        "id": '"h"',
        "kind": '"contrast"',
        "statement": '"BN helps"',
        "metric": '"gap"',
        "a": '{ placement = "pre" }',
        "b": '{ placement = "none" }',
    }
    return AXES + "[[hypotheses]]\n" + "\n".join(f"{key} = {value}" for key, value in (keys | changes).items() if value)


def numeric(kind: str, **changes: str) -> str:
    """A study with one hypothesis of a kind that has an axis."""
    keys = {"kind": f'"{kind}"', "axis": '"dropout_rate"', "metric": '"final_validation_loss"'}
    if kind == "equivalent_level":
        keys |= {"level": "0.2", "a": '{ placement = "pre", dropout_rate = 0.0 }'}
    return contrast(**(keys | changes))


MALFORMED = {
    "unknown key": ("sedes = 3", "sedes", ["there is no such key", "known here: name, title", "did you mean 'seeds'?"]),
    "unknown section": ("[trian]\nsteps = 3", "trian", ["there is no such key", "did you mean 'train'?"]),
    "unknown key in a section": (
        "[train]\nstps = 3",
        "train.stps",
        ["known here: steps, epochs, batch_size", "did you mean 'steps'?"],
    ),
    "a key far from any known": ("[train]\nqqqq = 3", "train.qqqq", ["there is no such key (known here: steps, "]),
    "a key called like a kind": ("contrast = 1", "contrast", ["there is no such key"]),
    "a value for a section": ("norm = 3", "norm", ["is 3: input should be an object"]),
    "string for an integer": ('[train]\nsteps = "400"', "train.steps", ["is '400'", "valid integer"]),
    "float for an integer": ("[train]\nsteps = 40.5", "train.steps", ["is 40.5", "valid integer"]),
    "bool for an integer": ("[model]\ndepth = true", "model.depth", ["is True", "valid integer"]),
    "bool for a number": ("[train]\nlearning_rate = true", "train.learning_rate", ["is True", "valid number"]),
    "string for a number": ('[train]\nlearning_rate = "0.1"', "train.learning_rate", ["is '0.1'", "valid number"]),
    "integer for a bool": ("[train]\nnesterov = 1", "train.nesterov", ["is 1", "valid boolean"]),
    "number for a string": ("title = 7", "title", ["is 7", "valid string"]),
    "a date": (
        "[data]\nn_train = 2020-01-01",
        "data.n_train",
        ["datetime.date(2020, 1, 1)", "no key of a study takes"],
    ),
    "too small": ("[train]\nsteps = 0", "train.steps", ["is 0", "greater than or equal to 1"]),
    "too large": ("[model]\ndepth = 257", "model.depth", ["is 257", "less than or equal to 256"]),
    "a probability of 1": ("[dropout]\nrate = 1.0", "dropout.rate", ["is 1.0", "less than 1"]),
    "a probability below 0": ("[dropout]\nrate = -0.1", "dropout.rate", ["is -0.1", "greater than or equal to 0"]),
    "a dropout site that is none": (
        '[dropout]\nsite = "before_nrom"',
        "dropout.site",
        ["none of block, last, before_norm, ic", "did you mean 'before_norm'?"],
    ),
    "a dropout kind that is none": (
        '[axes]\ndropout_kind = ["gaussian"]',
        "axes.dropout_kind[0]",
        ["none of bernoulli, uniform"],
    ),
    "something that cannot be trained alone": (
        '[train]\ntrainable = "affine"',
        "train.trainable",
        ["none of all, all_but_scale, all_but_bias, affine_only", "did you mean 'affine_only'?"],
    ),
    "no examples to normalize": ("[norm]\nbatch_size = 0", "norm.batch_size", ["is 0", "greater than or equal to 1"]),
    "an infinite gamma": ("[norm]\nscale_init = inf", "norm.scale_init", ["is inf", "finite number"]),
    "a beta that is no number": ("[axes]\nbias_init = [nan]", "axes.bias_init[0]", ["is nan"]),
    "epsilon 0": ("[norm]\nepsilon = 0.0", "norm.epsilon", ["is 0.0", "greater than 0"]),
    "infinite": ("[train]\nlearning_rate = inf", "train.learning_rate", ["is inf", "finite number"]),
    "not a number": ("[norm]\nmomentum = nan", "norm.momentum", ["is nan"]),
    "unknown name": (
        '[model]\nactivation = "rellu"',
        "model.activation",
        [f"none of {', '.join(ACTIVATIONS)}", "mean 'relu'?"],
    ),
    "unknown optimizer": (
        '[train]\noptimizer = "sdg"',
        "train.optimizer",
        [f"none of {', '.join(OPTIMIZERS)}", "mean 'sgd'?"],
    ),
    "unknown coverage": (
        '[norm]\ncoverage = "frist"',
        "norm.coverage",
        [f"none of {', '.join(COVERAGES)}, only_K, without_K; did you mean 'first'?"],
    ),
    "path for a study's name": ('name = "../elsewhere"', "name", ["is '../elsewhere'", "should match pattern"]),
    "path for a data set's name": ('[data]\nname = "a/b"', "data.name", ["is 'a/b'", "should match pattern"]),
    "codes for a terminal": (
        'title = "red \\u001b[31m"',
        "title",
        ["has a control character, U+001B, at position 4: leave it out"],
    ),
    "codes for a terminal in a hypothesis": (
        contrast(statement='"\\u0007"'),
        "hypotheses[0].statement",
        ["has a control character, U+0007"],
    ),
    "writing turned round": (
        'title = "gap \u202e0.0"',
        "title",
        ["has a character that is not seen, U+202E (RIGHT-TO-LEFT OVERRIDE), at position 4: leave it out"],
    ),
    "a character of no width": (
        'description = "the same\u200b title"',
        "description",
        ["has a character that is not seen, U+200B (ZERO WIDTH SPACE), at position 8"],
    ),
    "a turn within a statement": (
        contrast(statement='"a \u2066b"'),
        "hypotheses[0].statement",
        ["U+2066 (LEFT-TO-RIGHT"],
    ),
    "a mark of byte order within a title": ('title = "\ufeffx"', "title", ["U+FEFF (ZERO WIDTH NO-BREAK SPACE)"]),
    "a line that ends unseen": ('title = "x\u2028y"', "title", ["U+2028 (LINE SEPARATOR)"]),
    "a letter that is blank": ('title = "x\u3164y"', "title", ["U+3164 (HANGUL FILLER)"]),
    "codes for a terminal in a key": ('"\\u001b[31m" = 3', "\x1b[31m", ["there is no such key"]),
    "a key of no characters": ('"" = 3', '""', ["there is no such key"]),
    "unknown claim": ('claim = "C9"', "claim", ["'C9' is none of", "C1", "C8"]),
    "warmup beyond the end": (
        "[train]\nsteps = 5\nwarmup_steps = 5",
        "train",
        ["warmup_steps = 5 leaves no step of steps = 5"],
    ),
    "seeds of another type": ('seeds = "ten"', "seeds", ["is 'ten'", "valid integer"]),
    "no seeds": ("seeds = 0", "seeds", ["is 0", "greater than or equal to 1"]),
    "empty list of seeds": ("seeds = []", "seeds", ["is []", "at least 1 item"]),
    "a seed that is too large": ("seeds = [9223372036854775807]", "seeds[0]", ["less than 2147483648"]),
    "seeds that are all wrong": ("seeds = [-1]", "seeds[0]", ["is -1", "greater than or equal to 0"]),
    "negative seed": ("seeds = [1, -1]", "seeds[1]", ["is -1", "greater than or equal to 0"]),
    "seed given twice": ("seeds = [4, 5, 4]", "seeds", ["a seed is listed twice"]),
    "unknown axis": (
        "[axes]\ndropout = [0.0]",
        "axes.dropout",
        [f"(known: {', '.join(FACTORS)})", "did you mean 'dropout_rate'?"],
    ),
    "axis that is no list": ("[axes]\nwidth = 32", "axes.width", ["is 32", "valid array"]),
    "axis without levels": ("[axes]\nwidth = []", "axes.width", ["has no levels"]),
    "wrong level": ("[axes]\ndropout_rate = [0.0, 1.5]", "axes.dropout_rate[1]", ["is 1.5", "less than 1"]),
    "level of another type": ("[axes]\nwidth = [32, true]", "axes.width[1]", ["is True", "valid integer"]),
    "misspelt level": (
        '[axes]\nplacement = ["pre", "psot"]',
        "axes.placement[1]",
        ["none of none, pre, post", "mean 'post'?"],
    ),
    "level given twice": ("[axes]\ndropout_rate = [0, 0.5, 0.0]", "axes.dropout_rate", ["lists 0.0 more than once"]),
    "exclusion of nothing": (AXES + "[[exclude]]", "exclude[0]", ["names no axis, and so would exclude everything"]),
    "exclusion on no axis": (
        AXES + "[[exclude]]\nplacemnt = 'pre'",
        "exclude[0].placemnt",
        ["not an axis", "mean 'placement'?"],
    ),
    "exclusion of no level": (AXES + "[[exclude]]\nplacement = []", "exclude[0].placement", ["names no level"]),
    "exclusion of an unknown level": (
        AXES + "[[exclude]]\ndropout_rate = [0.5, 0.4]",
        "exclude[0].dropout_rate",
        ["0.4 is none of 0.0, 0.5"],
    ),
    "exclusion of true for 1": (
        "[axes]\nwidth = [1, 2]\n[[exclude]]\nwidth = true",
        "exclude[0].width",
        ["True is none of 1, 2"],
    ),
    "exclusion that is no list": ("[exclude]\nplacement = 'pre'", "exclude", ["valid array"]),
    "hypothesis without a kind": (
        contrast(kind=""),
        "hypotheses[0]",
        ["needs a kind: contrast, equivalence, equivalent_level, interaction, optimum_shift, slope"],
    ),
    "hypothesis of an unknown kind": (
        contrast(kind="'contrst'"),
        "hypotheses[0].kind",
        ["'contrst' is none of contrast, equivalence, equivalent_level", "did you mean 'contrast'?"],
    ),
    "hypothesis without a side": (contrast(b=""), "hypotheses[0].b", ["is missing"]),
    "hypothesis with an unknown key": (
        contrast(margn="1.0"),
        "hypotheses[0].margn",
        ["alternative, margin", "mean 'margin'?"],
    ),
    "key of another kind": (
        contrast(kind="'equivalence'", margin="1.0", alternative="'less'"),
        "hypotheses[0].alternative",
        ["known here: id, claim, primary, statement, each, select, kind, metric, a, b, margin"],
    ),
    "hypothesis on an unknown metric": (
        contrast(metric="'gpa'"),
        "hypotheses[0].metric",
        [f"none of the {len(metrics())} metrics that docs/measurements.md defines; did you mean 'gap'?"],
    ),
    "hypothesis on no axis": (contrast(a="{ width = 3 }"), "hypotheses.h.a.width", ["is not an axis of this study"]),
    "hypothesis on an unknown level": (
        contrast(b='{ placement = "non" }'),
        "hypotheses.h.b.placement",
        ["'non' is none of none, pre, post"],
    ),
    "hypothesis with a negative margin": (
        contrast(margin="-0.1"),
        "hypotheses[0].margin",
        ["is -0.1", "greater than or equal to 0"],
    ),
    "equivalence without a margin": (contrast(kind="'equivalence'"), "hypotheses[0].margin", ["is missing"]),
    "interaction without its second difference": (
        contrast(kind="'interaction'", c="{}"),
        "hypotheses[0].d",
        ["is missing"],
    ),
    "interaction on an unknown level": (
        contrast(kind="'interaction'", c="{}", d='{ placement = "psot" }'),
        "hypotheses.h.d.placement",
        ["'psot' is none of none, pre, post", "mean 'post'?"],
    ),
    "optimum of test data": (
        numeric("optimum_shift", metric="'final_test_loss'"),
        "hypotheses[0].metric",
        ["'final_test_loss' cannot choose a level: only validation data may", "best_validation_accuracy"],
    ),
    "optimum of an unknown metric": (
        numeric("optimum_shift", metric="'final_validation_los'"),
        "hypotheses[0].metric",
        ["'final_validation_los' is none of", "mean 'final_validation_loss'?"],
    ),
    "optimum along no axis": (numeric("optimum_shift", axis=""), "hypotheses[0].axis", ["is missing"]),
    "optimum along an unknown axis": (
        numeric("optimum_shift", axis="'dropout'"),
        "hypotheses.h.axis",
        ["'dropout' is not an axis of this study", "mean 'dropout_rate'?"],
    ),
    "optimum along an axis of names": (
        numeric("optimum_shift", axis="'placement'", a="{}", b="{}"),
        "hypotheses.h.axis",
        ["no numbers (none, pre, post)", "optimum_shift needs an axis of numbers (dropout_rate)"],
    ),
    "optimum along one level": (
        numeric("optimum_shift", a='{ placement = "pre", dropout_rate = 0.5 }'),
        "hypotheses.h.a",
        ["has 1 level of 'dropout_rate', and optimum_shift needs two or more"],
    ),
    "slope over the logarithm of zero": (
        numeric("slope", scale="'log10'", b=""),
        "hypotheses.h.scale",
        ["levels that have no logarithm: 0, 0.5"],
    ),
    "unknown scale": (
        numeric("slope", scale="'log'"),
        "hypotheses[0].scale",
        ["'log' is none of linear, log10, rank", "mean 'log10'?"],
    ),
    "slope over an axis of names": (
        '[axes]\nn_train = [100, 200]\nplacement = ["pre"]\n[[hypotheses]]\nid = "h"\nkind = "slope"\nstatement = "s"\n'
        'metric = "gap"\naxis = "placement"\na = {}',
        "hypotheses.h.axis",
        ["slope needs an axis of numbers (n_train)"],
    ),
    "equivalent level without a level": (numeric("equivalent_level", level=""), "hypotheses[0].level", ["is missing"]),
    "equivalent level beyond the axis": (
        numeric("equivalent_level", level="0.7"),
        "hypotheses.h.level",
        ["is 0.7, outside the levels of 'dropout_rate' in b: 0, 0.5"],
    ),
    "equivalent level of cells at several levels": (
        numeric("equivalent_level", a='{ placement = "pre" }'),
        "hypotheses.h.a",
        ["must name one level of 'dropout_rate'"],
    ),
    "equivalent level by rank": (
        numeric("equivalent_level", scale="'rank'"),
        "hypotheses[0].scale",
        ["'rank' is none of linear, log10"],
    ),
    "each of an unknown axis": (
        contrast(each="['droput_rate']"),
        "hypotheses.h.each",
        ["'droput_rate' is not an axis of this study", "mean 'dropout_rate'?"],
    ),
    "each of an axis that every side names": (
        contrast(each="['placement']"),
        "hypotheses.h.each",
        ["names 'placement', but every side names one level of it"],
    ),
    "each of an axis without a common level": (
        contrast(each="['dropout_rate']", a="{ dropout_rate = [0.0] }", b="{ dropout_rate = [0.5] }"),
        "hypotheses.h.each",
        ["the sides have no level of it in common"],
    ),
    "each of an axis twice": (
        contrast(each="['dropout_rate', 'dropout_rate']"),
        "hypotheses.h.each",
        ["names an axis more than once"],
    ),
    "each of the axis in question": (
        numeric("slope", each="['dropout_rate']"),
        "hypotheses.h.each",
        ["names 'dropout_rate', which is the axis that the hypothesis is about"],
    ),
    "each that makes ids too long": (
        contrast(id=f"'{'x' * 63}'", each="['dropout_rate']", a='{ placement = "pre", dropout_rate = [0.5] }'),
        f"hypotheses.{'x' * 63}.0.5",
        ["has an id of more than 64 characters, with its levels"],
    ),
    "each that makes statements too long": (
        contrast(statement=f"'{'x' * 490}'", each="['dropout_rate']", a='{ placement = "pre", dropout_rate = [0.5] }'),
        "hypotheses.h.0.5.statement",
        ["has more than 500 characters, with its levels"],
    ),
    "selection by test data": (
        contrast(select='{ axis = "dropout_rate", metric = "best_test_accuracy" }'),
        "hypotheses[0].select.metric",
        ["'best_test_accuracy' cannot choose a level: only validation data may (final_validation_loss, "],
    ),
    "selection on no axis": (contrast(select="{}"), "hypotheses[0].select.axis", ["is missing"]),
    "selection on an unknown axis": (
        contrast(select='{ axis = "dropout" }'),
        "hypotheses.h.select.axis",
        ["'dropout' is not an axis of this study", "mean 'dropout_rate'?"],
    ),
    "selection with an unknown key": (
        contrast(select='{ axis = "dropout_rate", metrc = "" }'),
        "hypotheses[0].select.metrc",
        ["there is no such key (known here: axis, metric)", "mean 'metric'?"],
    ),
    "selection without a choice": (
        contrast(select='{ axis = "placement" }'),
        "hypotheses.h.select.axis",
        ["every side has one level of it: there is nothing to choose"],
    ),
    "selection of what each row fixes": (
        contrast(select='{ axis = "dropout_rate" }', each="['dropout_rate']"),
        "hypotheses.h.select.axis",
        ["which each row of the hypothesis has one level of"],
    ),
    "selection on the axis in question": (
        numeric("slope", select='{ axis = "dropout_rate" }'),
        "hypotheses.h.select.axis",
        ["which is the axis that the hypothesis is about"],
    ),
    "more lanes than memory": (
        f"seeds = 1000\n[axes]\nwidth = {list(range(1, 1001))}\ndepth = {list(range(1, 251))}\nsteps = [1, 2, 3, 4]",
        "axes",
        ["span 1,000,000,000 lanes, and 1,000,000 are the most"],
    ),
}


def problems_of(folder: Path, text: str) -> tuple[tuple[str, str], ...]:
    """What is wrong with the study file `text`."""
    file = folder / "study.toml"
    text = textwrap.dedent(text)
    file.write_text(text if "name = " in text.partition("[")[0] else f'name = "x"\n{text}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_study(file)
    assert str(caught.value).startswith(f"{file}: {len(caught.value.problems)} problem")
    return caught.value.problems


@pytest.mark.parametrize(("text", "key", "telling"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_mistake_is_reported_at_its_key(tmp_path: Path, text: str, key: str, telling: list[str]) -> None:
    (problem,) = problems_of(tmp_path, text)
    assert problem[0] == key
    for part in telling:
        assert part in problem[1]


def test_a_name_is_needed(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("")
    with pytest.raises(ConfigError, match="name: is missing"):
        load_study(tmp_path / "study.toml")


def test_two_hypotheses_of_one_id(tmp_path: Path) -> None:
    second = contrast().removeprefix(AXES)
    assert problems_of(tmp_path, f"{contrast()}\n{second}") == (
        ("hypotheses", "'h' is the id of two of them (line 6)"),
    )


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = """
        seeds = -1
        sedes = 3
        [model]
        activation = "rellu"
        depth = 0
        [train]
        steps = "many"
        [[hypotheses]]
        id = "h"
        kind = "contrast"
    """
    keys = [key for key, _ in problems_of(tmp_path, text)]
    hypothesis = [f"hypotheses[0].{key}" for key in ("statement", "metric", "a", "b")]
    assert sorted(keys) == sorted(["seeds", "sedes", "model.activation", "model.depth", "train.steps", *hypothesis])


def test_mistakes_of_axes_exclusions_and_hypotheses_are_reported_at_once(tmp_path: Path) -> None:
    text = contrast(a='{ placement = "before" }', b="{ seed = 3 }") + '\n[[exclude]]\nplacement = "after"\n'
    text = text.replace("dropout_rate = [0.0, 0.5]", "dropout_rate = [0.0, 2.0]\nwidht = [3]")
    keys = [key for key, _ in problems_of(tmp_path, text)]
    sides = ["hypotheses.h.a.placement", "hypotheses.h.b.seed"]
    assert sorted(keys) == sorted(["axes.dropout_rate[1]", "axes.widht", "exclude[0].placement", *sides])


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        (b'name = "x"\ntitle = "caf\xe9"\n', "is not UTF-8: byte 23 is 0xe9"),
        (
            b'\xef\xbb\xbfname = "x"',
            "begins with a byte order mark (of UTF-8), which TOML does not allow: save it as UTF-8",
        ),
        ('name = "x"'.encode("utf-16"), "begins with a byte order mark (of UTF-16)"),
        (b"name = x\n", "is not TOML: Invalid value (at line 1, column 8)"),
        (b'name = "x"\nname = "y"\n', "is not TOML: Cannot overwrite a value"),
        (b'name = "x"\nseeds = ' + b"9" * 5000, "is not TOML: Exceeds the limit"),
        (b'name = "x"\nseeds = 0x' + b"f" * 5000, "holds what no key can take: Exceeds the limit"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is nested too deeply"),
        (b".".join([b"a"] * 5000) + b" = 1", "is nested too deeply"),
        (b"\0" * 1_000_001, "is larger than 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_study_file(tmp_path: Path, content: bytes, telling: str) -> None:
    file = tmp_path / "study.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_study(file)
    assert str(caught.value).startswith(f"{file}: 1 problem\n  {telling}")


def test_a_missing_file_is_reported_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "ablate.toml").touch()
    with pytest.raises(
        ConfigError, match=r"ablat\.toml: 1 problem\n  there is no such file; did you mean 'ablate\.toml'\?"
    ):
        load_study(tmp_path / "ablat.toml")
    with pytest.raises(ConfigError, match=r"there is no such file; did you mean 'ablate'\?$"):  # which comes with us
        load_study(tmp_path / "nowhere" / "ablate.toml")
    with pytest.raises(ConfigError, match=r"there is no such file$"):
        load_study(tmp_path / "nowhere" / "mine.toml")


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_study(tmp_path)
