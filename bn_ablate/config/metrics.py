"""What a lane comes to: the columns of `lanes.parquet`, which are the metrics of hypotheses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from bn_ablate.config.apart_measures import BY_PARTS, CENTRE, COSINE, IN_TRAINING, OF_KERNELS, OF_RANKS
from bn_ablate.config.errors import one_of
from bn_ablate.config.measures import (
    ALONG,
    AVERAGED,
    CURVES,
    DECADES,
    DEPTH,
    EVALUATED,
    FACTOR,
    FRACTION,
    LANE,
    MEASURES,
    NATS,
    NORM,
    OF_AFFINE,
    OFF,
    PERCENTILES,
    POINTS,
    PROBED,
    SHIFTED,
    SPREAD,
    STEPS,
    THRESHOLD,
    VALIDATED,
)
from bn_ablate.config.quantity import TABLES, Form, Quantity, Unit, declare

FINAL = Form("last", "final_{}", "final {}", "the curve at the end")
BEST = Form("best", "best_{}", "best {}", "the curve at the best step")
AT_END = Form("last", "{}", "{}", "as in the history, at the end")
ON_AVERAGE = Form("mean", "{}", "{}", "mean over all measurements")
OF_LAYERS = (
    Form("layers_end", "{}", "{}", "the measure by layer at the end, mean over layers"),
    Form("layers_start", "{}_start", "{} at the start", "the same at the start"),
    Form("first_end", "first_{}", "{}, first layer", "of the first layer, at the end"),
    Form("first_start", "first_{}_start", "{}, first layer at the start", "of the first layer, at the start"),
)
"""What becomes of a measure that every layer has."""
OF_BN = Form("layers_end", "{}", "{}", "at the end, mean over the layers with BN")
"""What becomes of a measure that only layers with BN have."""
WORST_OF_BN = Form("max_end", "{}_max", "{} of the worst layer", "at the end, that of the layer where it is greatest")


def _difference(name: str, label: str, unit: Unit, of: str, less: str, why: str = "") -> Quantity:
    """The metric `of` minus the metric `less`, which needs what they do."""
    needs = tuple(dict.fromkeys(FINALS[of].needs + FINALS[less].needs))
    apart = FINALS[of].apart or FINALS[less].apart
    return Quantity(name, f"`{of}` − `{less}`{why}", label, unit, minus=(of, less), needs=needs, apart=apart)


def _paired(name: str, label: str, loss: Quantity) -> Quantity:
    return Quantity(
        name,
        f"`{loss.name}` minus that of the same cell and seed at dropout 0",
        label,
        NATS,
        better="lower",
        needs=loss.needs,
        null="without such a partner",
        paired=loss.name,
    )


FINALS = {of.name: of for of in (*map(FINAL, CURVES), *map(AT_END, (*EVALUATED, *AVERAGED, *BY_PARTS)))}

declare(
    "lanes",
    LANE,
    Quantity("seed", "the seed", kind="count"),
    Quantity(
        "status", "`ok`, or `diverged` where a batch loss, or the training loss at the end, was not finite", kind="text"
    ),
    Quantity(
        "diverged_at",
        "the first step whose batch loss was not finite; the last step where it was only the training loss at the end",
        unit=STEPS,
        kind="count",
        null="where it did not diverge",
    ),
    *map(FINAL, CURVES),
    Quantity(
        "best_step",
        "the measured step of lowest finite validation loss, the first of equals",
        "best step",
        STEPS,
        kind="count",
        needs=(VALIDATED,),
    ),
    *(replace(of, needs=(VALIDATED,)) for of in map(BEST, CURVES)),
    *map(AT_END, EVALUATED),
    *map(AT_END, AVERAGED),
    *(
        _difference(
            f"recovered_{part}_loss",
            f"{part} loss recovered by recalibration",
            NATS,
            f"final_{part}_loss",
            f"recalibrated_{part}_loss",
            ": the loss that recalibration recovers",
        )
        for part in ("train", "test")
    ),
    _difference("gap", "generalization gap (test − train loss)", NATS, "final_test_loss", "final_train_loss"),
    _difference("accuracy_gap", "accuracy gap (train − test)", POINTS, "final_train_accuracy", "final_test_accuracy"),
    _difference(
        "averaging_gain",
        "test accuracy gained by averaging weights",
        POINTS,
        "averaged_test_accuracy",
        "final_test_accuracy",
    ),
    _difference(
        "recalibrated_gap",
        "generalization gap, recalibrated statistics",
        NATS,
        "recalibrated_test_loss",
        "recalibrated_train_loss",
    ),
    _paired("underfitting", "underfitting (train loss above that at dropout 0)", FINALS["final_train_loss"]),
    _paired("recalibrated_underfitting", "underfitting, recalibrated statistics", FINALS["recalibrated_train_loss"]),
    Quantity(
        "trained",
        "1 where `final_train_accuracy` ≥ c + 0.1·(1 − c), c the share of the commonest class among the training "
        "examples, else 0: a tenth of the way from chance to perfect, and with 100 examples of 10 classes 3 standard "
        "errors above chance",
        "share that trained",
        FRACTION,
        better="higher",
    ),
    Quantity(
        "steps_to_loss",
        "the first measured step with `train_loss` ≤ `measure.loss_threshold`. A lane that never gets there counts "
        "with its last step: less than it would have taken, so differences to it are understated",
        "steps to the loss threshold",
        STEPS,
        better="lower",
        needs=(THRESHOLD,),
    ),
    Quantity(
        "reached_loss",
        "1 where there is such a step, else 0",
        "share that reached the loss threshold",
        FRACTION,
        better="higher",
        needs=(THRESHOLD,),
    ),
    *(form(measure) for measure in (*PROBED, *OFF) for form in OF_LAYERS),
    *(
        replace(of, name=of.name + suffix, label=of.label + words, form=f"{of.form}_{when}")
        for of in (
            Quantity(
                "gradient_ratio",
                "`gradient_norm` of the first layer over that of the last, at the end and at the start: below 1 where "
                "gradients vanish towards the input, above 1 where they explode",
                "first-to-last gradient ratio",
                FACTOR,
                of=NORM.name,
                form="ratio",
            ),
            Quantity(
                "gradient_slope",
                "least-squares slope of log₁₀ `gradient_norm` over the layer's index, at the end and at the start: "
                "above 0 where gradients vanish towards the input, below 0 where they explode; not finite where one of "
                "them is 0",
                "slope of the gradient over depth",
                DECADES,
                needs=(DEPTH,),
                of=NORM.name,
                form="slope",
            ),
        )
        for suffix, words, when in (("", "", "end"), ("_start", " at the start", "start"))
    ),
    *map(OF_BN, (*SHIFTED, *OF_AFFINE)),
    WORST_OF_BN(SHIFTED[0]),
    *map(ON_AVERAGE, ALONG),
    Quantity(
        "unit_drift",
        "mean over the three percentiles, and over pairs of consecutive measurements, of how far the percentile of the "
        "last layer's unit moved",
        "drift of a last-layer unit between measurements",
        SPREAD,
        needs=(PERCENTILES,),
    ),
    *map(AT_END, BY_PARTS),
    *(
        _difference(
            f"recovered_by_{by}_{part}_loss",
            f"{part} loss recovered by recalibrated {by}s alone",
            NATS,
            f"final_{part}_loss",
            f"{by}_recalibrated_{part}_loss",
            f": the loss that recalibrating the {by}s alone recovers",
        )
        for by in ("mean", "variance")
        for part in ("train", "test")
    ),
    OF_BN(CENTRE),
    *(form(measure) for measure in (*OF_KERNELS, *OF_RANKS) for form in OF_LAYERS),
    *map(AT_END, IN_TRAINING),
    ON_AVERAGE(COSINE),
)
APART = tuple(dict.fromkeys(of.apart for columns in TABLES.values() for of in columns.values() if of.apart))
"""The requests without which tables lack their columns."""


Tables: TypeAlias = dict[str, dict[str, Quantity]]


def tables_with(own: Iterable[Quantity]) -> Tables:
    """`TABLES`, with the columns of a user's `own` measures by layer, and of what lanes come to by them, last."""
    layers = {of.name: of for of in own}
    lanes = {metric.name: metric for of in layers.values() for metric in (form(of) for form in OF_LAYERS)}
    return TABLES | {"lanes": TABLES["lanes"] | lanes, "layers": TABLES["layers"] | layers}


def columns_with(also: Iterable[str]) -> Tables:
    """The columns that tables have where the measures `also` are asked for, of which some are a user's own."""
    asked = tuple(also)
    every = tables_with(Quantity(name, "") for name in asked if name not in MEASURES.own and name not in APART)
    return {
        table: {name: of for name, of in columns.items() if not of.apart or of.apart in asked}
        for table, columns in every.items()
    }


def metrics(own: Iterable[Quantity] = ()) -> dict[str, Quantity]:
    """The metrics that a hypothesis may be about."""
    return {name: of for name, of in tables_with(own)["lanes"].items() if of.kind == "number"}


def _known(name: Any, info: ValidationInfo) -> Any:
    known = metrics(Quantity(own, "") for own in MEASURES.known(info) if own not in MEASURES.own)
    if not isinstance(name, str) or name not in known:
        raise ValueError(one_of(name, known, " metrics that docs/measurements.md defines"))
    return name


def _selecting(name: str) -> str:
    known = metrics()
    able = [metric for metric, of in known.items() if of.part == "validation"]
    if name in able:
        return name
    if name in known:
        raise ValueError(f"{name!r} cannot choose a level: only validation data may ({', '.join(able)})")
    raise ValueError(one_of(name, able))


Metric = Annotated[str, BeforeValidator(_known)]
SelectingMetric = Annotated[str, AfterValidator(_selecting)]
"""A metric that may choose a level: one of validation data."""
MeasureName = Annotated[str, MEASURES.named]
"""A measure that a study has to ask for."""
