"""What a message offers is what was meant: by the words of other frameworks first, then by the nearest name."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from bn_ablate.config import ConfigError, build_study, hypotheses, names
from bn_ablate.config.errors import MOST_NAMED
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.kinds import KINDS
from bn_ablate.config.lane import SECTIONS
from bn_ablate.config.metrics import metrics
from bn_ablate.config.only import check_only
from bn_ablate.config.quantity import REQUESTS
from bn_ablate.config.registry import REGISTRIES
from bn_ablate.config.schema import Study
from bn_ablate.config.synonyms import ELSEWHERE, KEYS, NOTES, VALUES, spelled
from bn_ablate.config.training_keys import Data
from bn_ablate.data.catalog import BUILT_IN

CONTRAST = {"id": "h", "kind": "contrast", "statement": "s", "metric": "gap"}
SIDES = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
OF_A_STUDY = {"placement": ["none", "pre"], "learning_rate": [0.1, 0.2]}


def hint(table: dict[str, Any]) -> str:
    """What stands after the list in the one message about a study."""
    with pytest.raises(ConfigError) as caught:
        build_study({"name": "x"} | table)
    (problem,) = caught.value.problems
    return problem.message.partition("; ")[2]


def asked(**changes: Any) -> dict[str, Any]:
    return {"axes": OF_A_STUDY, "hypotheses": [CONTRAST | SIDES | changes]}


MEANT = [
    ({"model": {"kernel_init": "kaiming_normal"}}, "he_normal"),
    ({"model": {"kernel_init": "xavier_uniform"}}, "glorot_uniform"),
    ({"model": {"kernel_init": "Kaiming-Uniform_"}}, "he_uniform"),
    ({"model": {"activation": "swish"}}, "silu"),
    ({"model": {"activation": "GELU"}}, "gelu"),
    ({"model": {"activation": "LeakyReLU"}}, "leaky_relu"),
    ({"model": {"activation": "Hardtanh"}}, "hard_tanh"),
    ({"model": {"architecture": "fully_connected"}}, "mlp"),
    ({"train": {"optimizer": "SGD"}}, "sgd"),
    ({"train": {"optimizer": "Adam_W"}}, "adamw"),
    ({"train": {"schedule": "cosine_annealing"}}, "cosine"),
    ({"train": {"precision": "bf16"}}, "bfloat16"),
    ({"train": {"precision": "tf32"}}, "tensorfloat32"),
    ({"norm": {"placement": "before"}}, "pre"),
    ({"norm": {"placement": False}}, "none"),
    ({"norm": {"residual": "before"}}, "before_add"),
    ({"norm": {"affine": True}}, "both"),
    ({"norm": {"affine": "gamma"}}, "scale"),
    ({"norm": {"coverage": "only_last"}}, "last"),
    ({"dropout": {"site": "before"}}, "before_norm"),
    ({"axes": {"activation": ["relu", "Swish"]}}, "silu"),
    (asked(metric="test_acc"), "final_test_accuracy"),
    (asked(metric="best_val_loss"), "best_validation_loss"),
    (asked(metric="generalization_gap"), "gap"),
    (asked(select={"axis": "learning_rate", "metric": "val_acc"}), "final_validation_accuracy"),
    (asked(a={"placement": "before"}), "pre"),
    (asked(a={"lr": 0.1}), "learning_rate"),
    (asked(a={"placment": "pre"}), "placement"),
    (asked(alternative=">"), None),
    (asked(alternative="two_sided"), "two-sided"),
    (asked(kind="tost"), "equivalence"),
    (asked(delta=0.1), "margin"),
    ({"norm": {"gamma_init": 1.0}}, "scale_init"),
    ({"norm": {"eps": 1e-3}}, "epsilon"),
    ({"norm": {"decay": 0.9}}, "momentum"),
    ({"norm": {"bn_momentum": 0.9}}, "momentum"),
    ({"norm": {"momentun": 0.9}}, "momentum"),
    ({"train": {"lr": 0.1}}, "learning_rate"),
    ({"train": {"wd": 0.1}}, "weight_decay"),
    ({"train": {"decay": 0.1}}, "weight_decay"),
    ({"train": {"seed": 3}}, "seeds"),
    ({"dropout": {"p": 0.1}}, "rate"),
    ({"model": {"dropout": 0.5}}, "dropout.rate"),
    ({"model": {"batch_size": 32}}, "train.batch_size"),
    ({"depth": 3}, "model.depth"),
    ({"batch_size": 32}, "train.batch_size"),
    ({"lr": 0.1}, "train.learning_rate"),
    ({"train.lr": 0.1}, "train.learning_rate"),
    ({"dropout_rate": 0.1}, "dropout.rate"),
    ({"momentum": 0.9}, "train.momentum"),
    ({"seed": 3}, "seeds"),
    ({"dataset": "mnist"}, "data.name"),
    ({"sedes": 3}, "seeds"),
    ({"axes": {"lr": [0.1]}}, "learning_rate"),
    ({"axes": {"eps": [0.1]}}, "bn_epsilon"),
    ({"axes": {"epsilon": [0.1]}}, "bn_epsilon"),
    ({"axes": {"dropout": [0.1]}}, "dropout_rate"),
    ({"axes": {"gamma_init": [0.1]}}, "scale_init"),
    ({"axes": {"train.learning_rate": [0.1]}}, "learning_rate"),
    ({"axes": {"layers": [2]}}, "depth"),
    ({"axes": {"widht": [2]}}, "width"),
    ({"axes": {"dtype": ["float32"]}}, "precision"),
]


@pytest.mark.parametrize(("table", "meant"), MEANT, ids=[str(table)[:60] for table, _ in MEANT])
def test_what_was_meant_is_offered(table: dict[str, Any], meant: str | None) -> None:
    assert hint(table) == (f"did you mean {meant!r}?" if meant else "")


@pytest.mark.parametrize(
    ("table", "telling"),
    [
        ({"axes": {"n_validation": [100]}}, "data.n_validation is a setting that all lanes of a study share"),
        ({"axes": {"dataset": ["mnist"]}}, "data.name is a setting that all lanes of a study share"),
        ({"axes": {"seed": [0, 1]}}, "how many seeds there are stands at the top of a study, as seeds = 10"),
        ({"train": {"num_epochs": 3}}, "did you mean 'epochs'?"),
        ({"axes": {"n_epochs": [3]}}, "train.epochs is a setting that all lanes of a study share"),
        ({"train": {"beta_1": 0.9}}, NOTES["beta1"]),
        ({"dropout": {"keep_prob": 0.9}}, NOTES["keepprob"]),
        (asked(a={"seed": 1}), "hypotheses are about all seeds"),
        (asked(a={"depth": 3}), "it is a factor, and an axis where a study says so: [axes] depth = […]"),
    ],
)
def test_what_cannot_stand_there_is_explained(table: dict[str, Any], telling: str) -> None:
    assert hint(table) == telling


@pytest.mark.parametrize(
    "table",
    [
        {"model": {"activation": "prelu"}},
        {"model": {"activation": "hard_sigmoid"}},
        {"model": {"kernel_init": "truncated_normal"}},
        {"train": {"optimizer": "adagrad"}},
        {"train": {"optimizer": "nadam"}},
        {"train": {"precision": "float16"}},
        {"train": {"schedule": "exponential"}},
        {"dropout": {"kind": "gaussian"}},
        {"axes": {"width": [16, 32]}, "exclude": [{"width": 64}]},
        {"train": {"qqqq": 3}},
    ],
)
def test_another_thing_is_not_offered(table: dict[str, Any]) -> None:
    assert hint(table) == ""


def test_no_message_lists_more_names_than_can_be_read() -> None:
    assert len(metrics()) > MOST_NAMED
    near = hint(asked(metric="xyzzy"))
    assert re.fullmatch(r"near it are (\w+, ){4}\w+", near)
    many = {"axes": {"width": list(range(8, 80))}, "exclude": [{"width": 999}]}
    with pytest.raises(ConfigError, match=r"exclude\[0\]\.width: 999 is none of the 72 from 8 to 79$"):
        build_study({"name": "x"} | many)


def test_lanes_are_picked_by_the_words_of_other_frameworks_with_a_hint() -> None:
    study = build_study({"name": "x", "axes": OF_A_STUDY})
    with pytest.raises(ConfigError) as caught:
        check_only(study, {"lr": 0.1, "seeds": 3, "placement": "after"})
    said = {problem.key: problem.message.partition("; ")[2] for problem in caught.value.problems}
    assert said == {"lr": "did you mean 'learning_rate'?", "seeds": "did you mean 'seed'?", "placement": ""}


WORDS = {
    *(word for sets in vars(names).values() for word in get_args(sets) if isinstance(word, str)),
    *(word for sets in vars(hypotheses).values() for word in get_args(sets) if isinstance(word, str)),
    *(name for registry in REGISTRIES.values() for name in registry.own),
    *(word for name in ("split", "standardize") for word in get_args(Data.model_fields[name].annotation)),
    *names.COVERAGES,
    *metrics(),
    *REQUESTS,
    *KINDS,
    *BUILT_IN,
    *(
        word
        for described in (hypotheses.Alternative, hypotheses.Scale, hypotheses.Summary)
        for word in get_args(get_args(described)[0])
    ),
}


def test_every_hint_is_something_that_can_be_said() -> None:
    keys = {f"{name}.{field}" for name, table in SECTIONS.items() for field in table.model_fields}
    keys |= {*Study.model_fields, *(f"hypotheses.{field}" for kind in KINDS.values() for field in kind.model_fields)}
    assert {path for paths in KEYS.values() for path in paths} <= keys
    assert {word for words in VALUES.values() for word in words} <= WORDS
    here = {spelled(word) for word in WORDS}
    # a schedule and a noise, but not the initializers called so; a moving average, but not the schedule
    assert ELSEWHERE & here == {"constant", "uniform", "exponential"}
    assert not ELSEWHERE & set(VALUES)
    assert not set(NOTES) & set(KEYS)
    assert {factor.path for factor in FACTORS.values()} <= keys
