"""The atlas as files: what was found as JSON, a table as CSV, the picture as SVG and PNG."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from bn_ablate.analysis.figures import image, laid_out
from bn_ablate.analysis.figures.atlas import atlas_chart
from bn_ablate.analysis.judge.places import atlas
from bn_ablate.config.given import place
from bn_ablate.results import refuse_inside
from bn_ablate.results.files import write_bytes, write_text

COLUMNS = (
    *("place", "folder", "study", "claim", "id", "statement", "metric", "depth", "width", "unit", "estimate"),
    *("low", "high", "p", "p_adjusted", "family", "n_seeds", "n_excluded", "n_diverged_lanes", "verdict", "reason"),
)


def write_atlas(folders: Iterable[Path], file: Path) -> dict[str, Any]:
    """Write what `judge.places.atlas` finds in `folders` to `file` as JSON, its table and picture beside it; return it.

    Raises:
        ResultsError: as `atlas` does, or `file` lies within a results folder.
    """
    file = place(file)
    refuse_inside(file)
    said = atlas(folders)
    chart = laid_out(atlas_chart(said))
    write_text(file, json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(file.with_suffix(".csv"), atlas_table(said).write_csv())
    for form in ("svg", "png"):
        write_bytes(file.with_suffix(f".{form}"), image(chart, form))
    return said


def atlas_table(said: dict[str, Any]) -> pl.DataFrame:
    """A row per hypothesis and place."""
    rows = []
    for record in said["hypotheses"]:
        low, high = record["interval"] or (None, None)
        rows.append({name: (record | {"low": low, "high": high})[name] for name in COLUMNS})
    return pl.DataFrame(rows, infer_schema_length=None)
