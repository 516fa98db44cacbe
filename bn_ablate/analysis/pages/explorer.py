"""The explorer of a report: every lane with its levels, metrics and curves, for a page to draw by any of them.

The numbers, and what draws them, Apache ECharts, are in the page itself, compressed, and unpacked when the explorer
is opened: until then they take no time, and no network ever.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from functools import cache
from importlib.resources import files
from shlex import quote
from typing import Any

import polars as pl

from bn_ablate.analysis.figures.style import LOOKS
from bn_ablate.analysis.judge.selection import axes_in_order, axis_label, level_label
from bn_ablate.analysis.pages.study_text import run_command
from bn_ablate.config.quantity import TABLES, Quantity, quantity
from bn_ablate.results import Results

MOST_LANES = 20_000
"""A study of more lanes has no explorer: its page would be too large to send."""
MOST_NUMBERS = 1_000_000
"""Curves of more numbers are thinned to fewer steps, the first and the last among them."""
LANE_DIGITS, CURVE_DIGITS = 5, 4
"""Significant digits: on a screen nobody sees more, and more do not compress."""


def explorer(results: Results) -> dict[str, str] | None:
    """What the page needs for it, packed: the `library` and the `data`; nothing where lanes are too many, or none."""
    if not 0 < results.lanes.height <= MOST_LANES:
        return None
    data = json.dumps(_data(results), separators=(",", ":"), allow_nan=False)
    return {"library": _library(), "data": packed(data), "script": _text("templates", "explorer.js")}


def packed(text: str) -> str:
    """Text as gzip in base64; the same text gives the same. Level 9 takes thrice as long, for 2% less of numbers."""
    return b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


@cache
def _library() -> str:
    return packed(_text("echarts", "echarts.min.js"))


def _text(*path: str) -> str:
    return files("bn_ablate.analysis.pages").joinpath(*path).read_text(encoding="utf-8")


def _data(results: Results) -> dict[str, Any]:
    """Columns by lane, in the order of the lanes: numbers of levels for the factors, then metrics, then curves."""
    lanes = results.lanes
    factors = [_factor(axis, results.axes[axis], lanes[axis]) for axis in axes_in_order(results)]
    own = {name: TABLES["lanes"].get(name) or quantity(name) for name in lanes.columns if lanes[name].dtype.is_float()}
    metrics = [_metric(of, lanes[name]) for name, of in own.items() if name not in results.axes and _known(lanes[name])]
    return {
        "study": results.study.name,
        "command": run_command(results.study),
        "factors": [*factors, _factor("seed", tuple(results.study.seed_list), lanes["seed"])],
        "metrics": metrics,
        "diverged": lanes["diverged_at"].is_not_null().cast(pl.Int8).to_list(),
        "colors": {look.label: name for name, look in LOOKS.items()},
        **_curves(results),
    }


def _factor(axis: str, levels: tuple[Any, ...], column: pl.Series) -> dict[str, Any]:
    """An axis: its levels as people and as `--only` write them, and which of them each lane has."""
    places = {level: place for place, level in enumerate(levels)}
    words = [level_label(level) if axis != "placement" else LOOKS[level].label for level in levels]
    return {
        "name": axis,
        "label": axis_label(axis),
        "levels": words,
        "given": [quote(f"{axis}={level}") for level in levels],
        "values": [places[level] for level in column.to_list()],
    }


def _metric(of: Quantity, column: pl.Series) -> dict[str, Any]:
    return {"name": of.name, "label": of.axis, "values": _numbers(column, of, LANE_DIGITS), "better": of.better}


def _curves(results: Results) -> dict[str, Any]:
    """What was measured along training: the steps, and for each curve and lane a number at each of them."""
    history, lanes = results.history, results.lanes
    names = [name for name in history.columns if history[name].dtype.is_float() and _known(history[name])]
    steps = history["step"].unique().sort().to_list()
    most = max(2, MOST_NUMBERS // max(1, lanes.height * len(names)))
    every = -(-(len(steps) - 1) // (most - 1)) if len(steps) > most else 1
    steps = steps[:-1:every] + steps[-1:]
    grid = lanes.select("lane_id").with_row_index("_lane").join(pl.DataFrame({"step": steps}), how="cross")
    rows = grid.join(history, on=["lane_id", "step"], how="left").sort("_lane", "step")
    curves = [
        {"name": name, "label": quantity(name).axis, "values": _numbers(rows[name], quantity(name), CURVE_DIGITS)}
        for name in names
    ]
    return {"steps": steps, "curves": curves}


def _known(column: pl.Series) -> bool:
    return bool(column.is_finite().any())


def _numbers(column: pl.Series, of: Quantity, digits: int) -> list[float | None]:
    """The column in the unit that people are shown; what is no finite number is null."""
    shown = pl.when(column.is_finite()).then(column * of.unit.scale).round_sig_figs(digits)
    return pl.select(shown).to_series().to_list()
