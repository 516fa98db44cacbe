"""Everything that people look at: verdicts, figures, tables, and one page that holds them all."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bn_ablate.analysis.figures import FORMATS, Chart, charts, images
from bn_ablate.analysis.figures.claims import not_drawn
from bn_ablate.analysis.figures.style import LOOKS, THEME
from bn_ablate.analysis.judge.cells import cell_table
from bn_ablate.analysis.judge.judging import analyze, claims_text
from bn_ablate.analysis.judge.pooled import parts
from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS, axes_in_order, axis_label, level_label
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS
from bn_ablate.analysis.judge.verdicts import floor_notes
from bn_ablate.analysis.pages.earlier import EARLIER, earlier_reports, keep_last
from bn_ablate.analysis.pages.explorer import MOST_LANES, explorer, packed
from bn_ablate.analysis.pages.study_text import run_command, study_toml
from bn_ablate.analysis.pages.tables import tables
from bn_ablate.analysis.pages.verdict_cards import shown_verdict
from bn_ablate.config.architectures import title_of
from bn_ablate.config.measures import PARTS
from bn_ablate.config.notes import notes_of
from bn_ablate.config.quantity import TABLES, quantity
from bn_ablate.config.schema import Study
from bn_ablate.plan import cells_of
from bn_ablate.results import Results, locked, open_results, seal
from bn_ablate.results.files import write_bytes, write_text
from bn_ablate.results.standing import QUICK

FIRST_ROWS = 200
"""A table of more rows shows so many at first; all of them are in the page, packed, until they are asked for."""

MOST_ROWS = MOST_LANES
"""A table of more lanes, or cells, is not on the page: they are in `lanes.parquet` and `tables/cells.csv`."""

MOST_BYTES = 10_000_000
"""A page does not become larger, so that browsers open it and mail takes it: of what grows with a study, the table of
lanes is left out first, then the explorer, then the table of cells."""

PUBLISHED = (*(f"{table}.parquet" for table in TABLES), "claims.json", "manifest.json", "tables/cells.csv")
"""What the page names of the files beside it, besides its figures."""

CELL_COLUMNS = ("final_test_accuracy", "final_test_loss", "final_train_loss", "gap", "underfitting")
LANE_COLUMNS = ("final_test_accuracy", "best_test_accuracy", "final_test_loss", "final_train_loss", "gap", "saturated")


def write_report(path: str | Path) -> list[Path]:
    """Judge, draw, tabulate and write the report of the results folder `path`; return the files written.

    Writes `claims.json`, `figures/`, `tables/` and `report.html`, removes what an earlier report left in those two
    folders, and seals the results. The same results give the same bytes. All is made before anything is written, and
    while it is written the folder is locked.

    Raises:
        ResultsError: it is not a results folder, a run is at work on it or has not written its tables, or a table in it
            is missing or was changed.
    """
    results = open_results(path)
    path, _ = results.path, results.lanes  # what is no results folder, or has none, gets no lock
    with locked(path):
        results = open_results(path)
        keep_last(results)
        results = results.with_claims(analyze(results))
        drawn = list(charts(results))
        figures = images(drawn)
        page = html_page(results, results.claims, drawn, [figures[f"{chart.name}.svg"].decode() for chart in drawn])
        files: dict[str, bytes | str] = {
            "claims.json": claims_text(results, results.claims),
            **{f"figures/{name}": content for name, content in figures.items()},
            **{f"tables/{name}": text for name, text in tables(results).items()},
            "report.html": page,
        }
        for name, content in files.items():
            if isinstance(content, str):
                write_text(path / name, content)
            else:
                write_bytes(path / name, content)
        for folder in ("figures", "tables"):
            for file in (path / folder).glob("*"):
                if file.is_file() and f"{folder}/{file.name}" not in files:
                    file.unlink()
        seal(path)
    return [path / name for name in files]


def html_page(results: Results, claims: list[dict[str, Any]], drawn: list[Chart], svgs: list[str]) -> str:
    """The report as one self-contained page, of `MOST_BYTES` at most if figures and verdicts take no more."""
    growing = {"lanes": _lanes(results), "explorer": explorer(results), "cells": _cells(results)}
    pooled = parts(results.study, results.lanes, claims)
    verdicts = [shown_verdict(claim, pooled.get(claim["id"], {})) for claim in claims]
    page = _page(results, verdicts, drawn, svgs, growing)
    for name in [name for name, part in growing.items() if part]:
        if len(page.encode()) <= MOST_BYTES:
            break
        growing[name] = None
        page = _page(results, verdicts, drawn, svgs, growing)
    return page


def _page(
    results: Results, verdicts: list[dict[str, Any]], drawn: list[Chart], svgs: list[str], growing: Mapping[str, Any]
) -> str:
    """The page, with those parts that are `growing` with the study."""
    counts = Counter(verdict["verdict"] for verdict in verdicts)
    return render(
        "report.html.j2",
        study=results.study,
        manifest=results.manifest,
        folder=results.path.name,
        quick=QUICK if results.manifest.get("quick") else None,
        verdicts=verdicts,
        floors=floor_notes(verdicts),
        counts=[(name, counts[name], SIGNS_OF_VERDICTS[name]) for name in SIGNS_OF_VERDICTS if counts[name]],
        design=_design(results),
        notes=[str(note) for note in notes_of((cell.levels, cell.stated) for cell in cells_of(results.study))],
        run=_run(results.manifest),
        axes=[(axis_label(a), [level_label(level) for level in results.axes[a]]) for a in axes_in_order(results)],
        not_drawn=not_drawn(results),
        charts=[(chart, drawing := inline(svg, chart), coded(drawing)) for chart, svg in zip(drawn, svgs, strict=True)],
        **growing,
        first_rows=FIRST_ROWS,
        script=_template("tables.js"),
        provenance=_provenance(results.manifest),
        mixture=results.mixture,
        formats=FORMATS,
        files=PUBLISHED,
        earlier=[f"{EARLIER}/{name}/report.html" for name in earlier_reports(results.path)],
        again=run_command(results.study),
        config=study_toml(results.study),
    )


def render(template: str, **values: Any) -> str:
    """One of the templates as a page, with the style that all of them share."""
    return _templates().get_template(template).render(css=_template("style.css"), **values)


@cache
def _templates() -> Environment:
    """All templates, each of them compiled once."""
    environment = Environment(
        loader=PackageLoader("bn_ablate.analysis.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = marked
    return environment


def marked(text: str) -> str:
    """A sentence as HTML, escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _template(name: str) -> str:
    """A file that stands beside the templates."""
    return files("bn_ablate.analysis.pages").joinpath("templates", name).read_text(encoding="utf-8")


def inline(svg: str, chart: Chart) -> str:
    """An SVG file as part of a page: its own ids, the page's colours, its alternative text as a label."""
    svg = svg[svg.index("<svg") :]
    for part in (r"<!--.*?-->", r"<metadata>.*?</metadata>", r"<style.*?</style>"):
        svg = re.sub(part, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{chart.name}-", svg)
    for color, variable in THEME.items():
        svg = svg.replace(color, f"var(--{variable})")
    label = escape(chart.alt)
    return re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{label}">', svg, count=1)


def coded(svg: str) -> list[dict[str, Any]]:
    """The looks of the placements that a drawing on a page is coded by: those whose colours are in it."""
    return [{"name": name, **look._asdict()} for name, look in LOOKS.items() if f"var(--{name})" in svg]


def _design(results: Results) -> list[tuple[str, str]]:
    """What all lanes have in common, as names and values; what an axis varies is left out."""
    manifest, study = results.manifest, results.study
    model, train = study.model, study.train
    data = manifest.get("data", {})
    sizes = data.get("sizes", {})
    network = {
        "architecture": title_of(model.architecture),
        "depth": f"{model.depth} hidden {'layer' if model.depth == 1 else 'layers'}",
        "width": f"width {model.width}",
        "activation": level_label(model.activation),
        "placement": PLACEMENT_LABELS[study.norm.placement],
    }
    training = {
        "steps": train.length,
        "batch_size": f"batches of {train.batch_size}",
        "optimizer": train.optimizer,
        "learning_rate": f"learning rate {train.learning_rate:g}",
    }
    examples = (f"{sizes[part]:,} {part}" for part in PARTS if part in sizes)
    return [
        ("seeds", f"{results.seeds_per_cell}, {_seeds_of_cells(study)}"),
        ("data", " ".join(filter(None, (data.get("name", study.data.name), data.get("version"))))),
        *([("examples", ", ".join(examples))] if sizes else []),
        ("network", ", ".join(text for factor, text in network.items() if factor not in results.axes)),
        ("training", ", ".join(text for factor, text in training.items() if factor not in results.axes)),
    ]


def _seeds_of_cells(study: Study) -> str:
    looks = ", ".join(f"{n:,}" for n in study.looks)
    return f"until decided, with looks at {looks}" if looks else "the same for every cell"


def _run(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run took, as names and values; what the manifest lacks is left out."""
    lanes, device, timing = (manifest.get(key, {}) for key in ("lanes", "device", "timing"))
    memory = manifest.get("peak_memory_bytes")
    facts = [
        (
            "lanes",
            f"{lanes['finished']:,} of {lanes['planned']:,} finished, {lanes['diverged']:,} diverged" if lanes else "",
        ),
        (
            "device",
            f"{device['count']} × {device['kind']} ({device['platform']}), lanes by {manifest.get('strategy')}"
            if device
            else "",
        ),
        (
            "time",
            f"{timing['compile_seconds']:.1f} s compiling, {timing['train_seconds']:.1f} s training" if timing else "",
        ),
        ("compiled programs", str(manifest.get("programs", ""))),
        ("peak memory", f"{memory / 2**20:,.0f} MiB" if memory else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _provenance(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the numbers come from, as names and values; what the manifest lacks is left out."""
    git, data = manifest.get("git") or {}, manifest.get("data", {})
    facts = [
        (
            "Code",
            f"git {git['sha']}{', with uncommitted changes' if git.get('dirty') else ''}" if git.get("sha") else "",
        ),
        ("Lock", f"{lock['file']}, SHA-256 {lock['sha256']}" if (lock := manifest.get("lock")) else ""),
        ("Packages", ", ".join(f"{name} {version}" for name, version in sorted(manifest.get("packages", {}).items()))),
        ("Study, SHA-256", manifest.get("config_sha256", "")),
        ("Data, SHA-256", data.get("sha256", "")),
        ("Finished", manifest.get("finished") or ""),
    ]
    return [(name, value) for name, value in facts if value]


def _cells(results: Results) -> dict[str, Any] | None:
    """The cell table: heads, and rows of (text, number to sort by), in the order that lanes refer to."""
    table, axes = cell_table(results), axes_in_order(results)
    if table.height > MOST_ROWS:
        return None
    shown = [name for name in CELL_COLUMNS if name in table.columns]
    rows: list[list[tuple[str, Any]]] = []
    for cell in table.iter_rows(named=True):
        row = [(level_label(cell[axis]), _sorted_by(cell[axis])) for axis in axes]
        row += [(str(cell[count]), None) for count in ("n", "diverged")]
        rows.append(row + [(_with_interval(name, cell), _sorted_by(cell[name])) for name in shown])
    return {
        "heads": [*map(axis_label, axes), "lanes", "diverged", *map(_head, shown)],
        "texts": len(axes),
        "rows": rows,
        "packed": _packed([None, *row] for row in rows) if len(rows) > FIRST_ROWS else None,
    }


def _sorted_by(value: Any) -> float | None:
    """The number that a text is sorted by, where the text is not that number; None where it is sorted as it reads."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _packed(rows: Iterable[list[Any]]) -> str:
    """Rows for the page to unpack: the place of a lane's cell, or null, and a pair for each text."""
    return packed(json.dumps(list(rows), separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def _with_interval(name: str, cell: dict[str, Any]) -> str:
    unit, low, high = quantity(name).unit, cell[f"{name}_low"], cell[f"{name}_high"]
    mean = unit.value(cell[name])
    return mean if low is None else f"{mean} [{unit.value(low)}, {unit.value(high)}]"


def _lanes(results: Results) -> dict[str, Any] | None:
    """The lane table: heads, and for each lane its texts and the place of its cell in the cell table."""
    if results.lanes.height > MOST_ROWS:
        return None
    axes = axes_in_order(results)
    places = {levels: place for place, levels in enumerate(cell_table(results).select(axes).iter_rows())}
    units = {name: quantity(name).unit for name in LANE_COLUMNS}
    rows: list[dict[str, Any]] = [
        {
            "cell": places.get(tuple(lane[axis] for axis in axes), 0),
            "texts": [
                *(level_label(lane[axis]) for axis in axes),
                str(lane["seed"]),
                lane["status"] if lane["diverged_at"] is None else f"{lane['status']} at {lane['diverged_at']}",
                *(unit.value(lane[name]) for name, unit in units.items()),
            ],
        }
        for lane in results.lanes.iter_rows(named=True)
    ]
    return {
        "heads": [*map(axis_label, axes), "seed", "status", *map(_head, LANE_COLUMNS)],
        "texts": len(axes) + 2,
        "rows": rows,
        "packed": _packed([row["cell"], *([text] for text in row["texts"])] for row in rows)
        if len(rows) > FIRST_ROWS
        else None,
    }


def _head(name: str) -> str:
    unit = quantity(name).unit.shown
    return name.removeprefix("final_").replace("_", " ") + (f", {unit}" if unit else "")
