"""What each run says, taken from the store. No wandb here: this is plain data that can be compared and hashed."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config import Study, base_settings
from bn_ablate.plan import Plan, canonical_json
from bn_ablate.results import Results
from bn_ablate.results.files import sha256_of
from bn_ablate.results.standing import caveats, unfinished
from bn_ablate.sinks import run_names

if TYPE_CHECKING:
    import polars as pl

MAX_POINTS = 100
"""The most history points of a run; the full curves stay in the store."""

LANES_AT_ONCE = 64
"""Lanes whose rows are in memory together."""

VERDICT_COLUMNS = (
    "id",
    "claim",
    "statement",
    "verdict",
    "kind",
    "metric",
    "estimate",
    "low",
    "high",
    "unit",
    "margin",
    "p",
    "p_adjusted",
    "n_seeds",
    "n_excluded",
    "n_diverged_lanes",
    "reason",
)


@dataclass(frozen=True)
class Table:
    """A table of plain values: numbers, strings and None."""

    columns: list[str]
    rows: list[list[Any]]


class Histogram(NamedTuple):
    """Counts below `low`, in equal bins up to `high`, and from `high` on."""

    counts: list[int]
    low: float
    high: float

    @property
    def edges(self) -> list[float]:
        """The edges of all bins; the first and the last bin, which have none, are shown as wide as the others."""
        n = len(self.counts) - 2
        width = (self.high - self.low) / n
        return [self.low + width * i for i in range(-1, n + 2)]


@dataclass(frozen=True)
class Artifact:
    """A results folder as W&B keeps it.

    Attributes:
        name: its name; W&B adds the version.
        metadata: the manifest, without the list of files.
        files: path in the folder -> file.
    """

    name: str
    metadata: dict[str, Any]
    files: dict[str, Path]


@dataclass(frozen=True)
class RunContent:
    """All that one W&B run shows.

    Attributes:
        id: the run's id, which depends on the study and the lane only.
        history: one dict per point, in order of its `step`.
        histograms: by the step of the point beside which they are logged, and by their key.
        tables, images, pages: by the key under which they are logged; images are PNG files, pages are HTML files.
        artifact: the results folder as a versioned artifact, in the study's run.
    """

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]
    notes: str
    config: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    histograms: dict[int, dict[str, Histogram]] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    images: dict[str, Path] = field(default_factory=dict)
    pages: dict[str, Path] = field(default_factory=dict)
    artifact: Artifact | None = None

    @cached_property
    def sha256(self) -> str:
        """A hash of everything here, the content of files included."""
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        said["tables"] = {key: [table.columns, table.rows] for key, table in self.tables.items()}
        for kind in ("images", "pages"):
            said[kind] = {key: sha256_of(file) for key, file in said[kind].items()}
        if self.artifact:
            files = {name: sha256_of(file) for name, file in self.artifact.files.items()}
            said["artifact"] = [self.artifact.name, self.artifact.metadata, files]
        return hashlib.sha256(canonical_json(said).encode()).hexdigest()


def lane_contents(results: Results, lane_ids: Collection[str]) -> Iterator[RunContent]:
    """The runs of the lanes `lane_ids`, one at a time, in the store's order.

    Only `LANES_AT_ONCE` lanes' histories are in memory, however many the study has.
    """
    study, axes = results.study, list(results.axes)
    history, layers, histograms = (_Rows(results.scan(name)) for name in ("history", "layers", "histograms"))
    tags = _tags(results)
    cells = _cells_by_lane(results)
    networks = results.networks
    for row in networks.filter(networks["lane_id"].is_in(list(lane_ids))).iter_rows(named=True):
        lane, seed = row["lane_id"], row["seed"]
        levels = {axis: row[axis] for axis in axes}
        yield RunContent(
            id=run_names.run_id(results.name, lane),
            name=run_names.lane_name(levels, seed),
            group=run_names.group_name(results.name, levels),
            job_type="lane",
            tags=tags,
            notes=study.title,
            config=settings_of(study, levels)
            | {"study": results.name, "claim": study.claim, "seed": seed, "lane_id": lane}
            | ({"cells": cells[lane]} if lane in cells else {}),
            summary=finite({key: row[key] for key in row if key not in {*axes, "lane_id", "seed"}}),
            history=history_points(history.of(lane), layers.of(lane)),
            histograms=histograms_of(histograms.of(lane)),
        )


def _cells_by_lane(results: Results) -> dict[str, list[str]]:
    """The names of the cells of each lane that stands for several."""
    rows, axes = results.lanes, list(results.axes)
    found: dict[str, list[str]] = {}
    for row in rows.filter(rows["lane_id"].is_duplicated()).iter_rows(named=True):
        found.setdefault(row["lane_id"], []).append(run_names.cell_name({axis: row[axis] for axis in axes}))
    return found


def settings_of(study: Study, levels: dict[str, Any]) -> dict[str, Any]:
    """The config of the runs of a cell: every setting, nested, and every axis at the top level as `axis/<axis>`."""
    settings = base_settings(study).at(levels).counted.model_dump(mode="json", exclude={"own"})
    return settings | {f"axis/{axis}": levels[axis] for axis in levels}


def study_content(results: Results) -> RunContent:
    """The run of the study itself: manifest, cells, verdicts, figures and report, as far as they are there."""
    from bn_ablate.analysis import cell_table

    study, manifest, claims = results.study, results.manifest, results.claims
    known = caveats(manifest)
    lanes = results.networks
    cells = cell_table(results)
    tables = {"cells": Table(cells.columns, [finite_or_none(row) for row in cells.iter_rows()])}
    if claims:
        tables["verdicts"] = Table([*VERDICT_COLUMNS], [finite_or_none(_verdict_row(claim)) for claim in claims])
    report = results.path / "report.html"
    return RunContent(
        id=run_names.run_id(results.name, "study"),
        name=results.name,
        group=results.name,
        job_type="study",
        tags=_tags(results),
        notes="\n\n".join([*(f"Caution: {caveat}." for caveat in known), study.description or study.title]),
        config={key: manifest[key] for key in manifest if key != "files"},
        summary=finite(
            {
                "status": manifest.get("status"),
                "lanes/planned": manifest.get("lanes", {}).get("planned"),
                "lanes/finished": lanes.height,
                "lanes/diverged": int((lanes["status"] == "diverged").sum()),
                "caveat": "; ".join(known) or None,
            }
        )
        | {f"verdicts/{claim['id']}": claim["verdict"] for claim in claims},
        tables=tables,
        images={f"figures/{file.stem}": file for file in sorted((results.path / "figures").glob("*.png"))},
        pages={"report": report} if report.is_file() else {},
        artifact=_artifact(results),
    )


def running_content(plan: Plan) -> RunContent:
    """The run of a study that is being trained: what is known before; `study_content` resumes the same run."""
    study = plan.study
    return RunContent(
        id=run_names.run_id(study.name, "study"),
        name=study.name,
        group=study.name,
        job_type="study",
        tags=run_names.tags((study.name, study.claim, study.data.name, "quick" if plan.quick else "")),
        notes=study.description or study.title,
        config={"study": study.name, "config": study.model_dump(mode="json"), "seeds": list(plan.seeds)},
        summary={"status": "running", "lanes/planned": plan.n_lanes},
    )


def _artifact(results: Results) -> Artifact | None:
    """The sealed files of a results folder and the manifest that seals them; None before there is a seal."""
    sealed = [name for name in results.manifest.get("files", {}) if (results.path / name).is_file()]
    if not sealed:
        return None
    metadata = {key: value for key, value in results.manifest.items() if key != "files"}
    files = {name: results.path / name for name in ("manifest.json", *sealed)}
    return Artifact(run_names.artifact_name(results.name), metadata, files)


def history_points(history: pl.DataFrame, layers: pl.DataFrame) -> list[dict[str, Any]]:
    """The points of one lane: its history, and its layers' measures as `layers/<layer>/<measure>`.

    There are at most `MAX_POINTS`. Values that are not finite are left out of their point.
    """
    kept = thinned(history["step"].to_list(), MAX_POINTS)
    points: dict[int, dict[str, Any]] = {}
    for row in history.drop("lane_id", strict=False).iter_rows(named=True):
        points[row["step"]] = row
    measures = [column for column in layers.columns if column not in ("lane_id", "step", "layer")]
    for row in layers.iter_rows(named=True):
        if row["step"] in points:
            points[row["step"]] |= {f"layers/{row['layer']}/{measure}": row[measure] for measure in measures}
    return [finite(points[step]) for step in kept]


def histograms_of(table: pl.DataFrame) -> dict[int, dict[str, Histogram]]:
    """The histograms of one lane, by step, as `layers/<layer>/histogram/<site>`."""
    found: dict[int, dict[str, Histogram]] = {}
    for row in table.iter_rows(named=True):
        key = f"layers/{row['layer']}/histogram/{row['site']}"
        found.setdefault(row["step"], {})[key] = Histogram(row["counts"], row["low"], row["high"])
    return found


def thinned(steps: Sequence[int], limit: int) -> list[int]:
    """At most `limit` of `steps`, evenly spread over their places, the first and the last among them."""
    if len(steps) <= limit:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (limit - 1))] for i in range(limit)]


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """`values` without those that are None, NaN or infinite."""
    said = zip(values, finite_or_none(values.values()), strict=True)
    return {key: value for key, value in said if value is not None}


def finite_or_none(values: Iterable[Any]) -> list[Any]:
    """`values` with None in place of NaN and infinities."""
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


def _verdict_row(claim: dict[str, Any]) -> list[Any]:
    low, high = claim.get("interval") or (None, None)
    record = claim | {"low": low, "high": high}
    return [record.get(column) for column in VERDICT_COLUMNS]


def _tags(results: Results) -> tuple[str, ...]:
    device = results.manifest.get("device", {}).get("kind", "")
    standing = ("quick" * bool(results.manifest.get("quick")), "incomplete" * bool(unfinished(results.manifest)))
    return run_names.tags((results.name, results.study.claim, results.study.data.name, device, *standing))


class _Rows:
    """The rows of each lane in a stored table, where each lane's rows stand together; some lanes are read at a time."""

    def __init__(self, table: pl.LazyFrame) -> None:
        import polars as pl

        self._table = table
        runs = (
            table.select("lane_id").with_row_index("first").group_by("lane_id").agg(pl.col("first").min(), n=pl.len())
        )
        self._places = {lane: (first, n) for lane, first, n in runs.collect(engine="streaming").iter_rows()}
        self._read_from = 0
        self._read = table.clear().collect()

    def of(self, lane: str) -> pl.DataFrame:
        """The rows of `lane`; asking for lanes in the table's order reads each of its parts once."""
        first, n = self._places.get(lane, (0, 0))
        if not self._read_from <= first <= first + n <= self._read_from + self._read.height:
            self._read_from, self._read = first, self._table.slice(first, n * LANES_AT_ONCE).collect()
        return self._read.slice(first - self._read_from, n)
