"""Choosing lanes and averaging over seeds: what figures, tables and hypotheses share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from bn_ablate.analysis.judge.stats import t_quantile
from bn_ablate.config import LaneSettings, base_settings
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.names import PLACEMENTS
from bn_ablate.config.quantity import UNITLESS, Unit, quantity
from bn_ablate.config.schema import Study
from bn_ablate.results import Results

PLACEMENT_LABELS = {"none": "no BN", "pre": "BN before", "post": "BN after"}

_WITH_BN = LaneSettings().at({"architecture": "resnet"})
_WITHOUT = _WITH_BN.at({"placement": "none"})
BN_ONLY = tuple(
    name for name, factor in FACTORS.items() if factor.acts.holds(_WITH_BN) and not factor.acts.holds(_WITHOUT)
)
"""Factors that mean nothing to a network without BN."""


def matching(axes: dict[str, tuple[Any, ...]], rule: dict[str, Any]) -> pl.Expr:
    """True for lanes whose cell has, on every axis of `rule`, (one of) the level(s) given there."""
    expression = pl.lit(True)
    for axis, wanted in rule.items():
        given = wanted if isinstance(wanted, list | tuple) else (wanted,)
        levels = [level for level in axes[axis] if level in given]
        expression &= pl.col(axis).is_in(levels, nulls_equal=True)
    return expression


def axes_in_order(results: Results) -> list[str]:
    """The axes in the study's order, which the lanes table keeps and the manifest, sorted by key, does not."""
    return [column for column in results.lanes.columns if column in results.axes]


def levels_of(results: Results, factor: str) -> tuple[Any, ...]:
    """The levels of `factor`: those of its axis, or the one that all lanes have; placements as none, pre, post."""
    levels = results.axes.get(factor, (base_level(results.study, factor),))
    return tuple(p for p in PLACEMENTS if p in levels) if factor == "placement" else levels


def base_level(study: Study, factor: str) -> Any:
    """Where `factor` stands in the study's base settings."""
    return FACTORS[factor].level(base_settings(study))


class Held(NamedTuple):
    """Lanes with all but a few axes at one level, and sentences that say at which."""

    lanes: pl.DataFrame
    note: str


def hold(results: Results, shown: Sequence[str]) -> Held:
    """The lanes that a figure of the axes `shown` is made of, with columns `placement` and `activation` in any case.

    Every other axis is held at one level: dropout at its lowest rate; others at the study's base level where lanes
    are left that have it, else at the first that some have. Lanes without BN count at any level of what only BN has, if
    that is all there is of them. The learning rate is that of each network which is best on its validation data.
    """
    lanes, said = results.lanes, []
    for factor in ("placement", "activation"):
        if factor not in results.axes:
            lanes = lanes.with_columns(pl.lit(base_level(results.study, factor)).alias(factor))
    for axis in axes_in_order(results):
        if axis in (*shown, "learning_rate"):
            continue
        levels = results.axes[axis]
        base = base_level(results.study, axis)
        left = [
            level for level in levels if lanes.select(pl.col(axis).eq_missing(pl.lit(level)).any()).item()
        ] or levels
        level = min(left) if axis == "dropout_rate" else base if base in left else left[0]
        at_level = pl.col(axis).eq_missing(pl.lit(level))
        without_bn = pl.col("placement") == "none"
        if axis in BN_ONLY and lanes.filter(without_bn & at_level).is_empty():
            at_level |= without_bn
        lanes = lanes.filter(at_level)
        if len(levels) > 1:
            said.append(f"{axis_label(axis)} {level_label(level)}")
    note = f"Held: {', '.join(said)}." if said else ""
    if "learning_rate" in shown:
        return Held(lanes, note)
    best = tuned(results, lanes)
    return Held(best.lanes, " ".join(filter(None, (best.note, note))))


def tuned(results: Results, lanes: pl.DataFrame) -> Held:
    """Of lanes that differ in the learning rate alone, those with the lowest final validation loss, seed by seed.

    Without validation data, those at the study's base level, or at the first.
    """
    axis, loss = "learning_rate", pl.col("final_validation_loss")
    if len(levels := results.axes.get(axis, ())) < 2:
        return Held(lanes, "")
    if results.study.data.n_validation == 0:
        base = base_level(results.study, axis)
        level = base if base in levels else levels[0]
        return Held(lanes.filter(pl.col(axis) == level), f"Held: learning rate {level_label(level)}.")
    alike = [name for name in (*axes_in_order(results), "seed") if name != axis]
    ranked = lanes.sort(pl.when(loss.is_finite()).then(loss).otherwise(float("inf")), maintain_order=True)
    kept = ranked.unique(alike, keep="first", maintain_order=True).select(*alike, axis)
    said = "Every network at the learning rate that is best on its validation data."
    return Held(lanes.join(kept, on=kept.columns, how="semi", nulls_equal=True, maintain_order="left"), said)


def summarize(
    table: pl.DataFrame, by: Sequence[str], value: str, log: bool = False, unit: Unit = UNITLESS
) -> pl.DataFrame:
    """Mean and 95% Student t interval over seeds of the column `value`, by groups in order of appearance.

    Columns: `by`, `mean`, `low`, `high` (null from one seed), `n` seeds. Values that are null or not finite are left
    out; several rows of one group and seed are averaged first. With `log`, all is done on log10 of the positive values,
    and the mean is geometric. Intervals are cut at what the metric can be, one that is not ours by its `unit`.
    """
    keys = list(by)
    x = pl.col(value)
    rows = table.filter(x.is_finite())
    if log:
        rows = rows.filter(x > 0).with_columns(x.log10())
    seeds = rows.group_by([*keys, "seed"], maintain_order=True).agg(x.mean())
    groups = seeds.group_by(keys or pl.lit(0).alias("_all"), maintain_order=True).agg(
        x.mean().alias("mean"), x.std().alias("_std"), pl.len().alias("n")
    )
    half = pl.col("_std") * pl.Series(t_quantile(groups["n"].to_numpy())) / pl.col("n").sqrt()
    low, high = pl.col("mean") - half, pl.col("mean") + half
    if log:
        groups = groups.with_columns(low=10**low, high=10**high, mean=10 ** pl.col("mean"))
    else:
        limits = quantity(value, unit).unit
        groups = groups.with_columns(low=low.clip(limits.low, limits.high), high=high.clip(limits.low, limits.high))
    return groups.select(*keys, "mean", "low", "high", "n")


def axis_label(axis: str) -> str:
    """An axis as people call it."""
    return axis.replace("bn_", "BN ").replace("_", " ")


def level_label(level: Any) -> str:
    """A level as people write it."""
    if level is None:
        return "all"
    return f"{level:g}" if isinstance(level, float) else str(level).replace("_", " ")
