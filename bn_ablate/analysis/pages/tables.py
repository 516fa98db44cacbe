"""Tables for spreadsheets (CSV) and papers (LaTeX with booktabs)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import polars as pl

from bn_ablate.analysis.judge.cells import cell_table
from bn_ablate.analysis.judge.groups import groups
from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS, axes_in_order, axis_label, level_label, levels_of
from bn_ablate.analysis.judge.shown import interval_text, p_text, scale_of, texts
from bn_ablate.results import Results
from bn_ablate.results.standing import caveats

MOST_ROWS = 45
"""More rows than this do not fit a page, and become a `longtable`."""

DIVERGED_NOTE = r"$^{\dagger k}$: $k$ lanes of the cell diverged; they count with the accuracy that they had."

_TEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "−": "$-$",
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "×": r"$\times$",
        "∞": r"$\infty$",
        "β": r"$\beta$",
        "γ": r"$\gamma$",
        "σ": r"$\sigma$",
        "μ": r"$\mu$",
        "–": "--",
        "…": r"\ldots{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def tex(text: str) -> str:
    """`text` on one line, with every character that TeX would take for a command made harmless."""
    return " ".join(text.split()).translate(_TEX)


def tables(results: Results) -> dict[str, str]:
    """`cells` and, where the study has hypotheses, `verdicts`, each as CSV and as LaTeX: names of files, and text."""
    cells, claims = cell_table(results), results.claims
    texts = {"cells.csv": cells.write_csv(), "cells.tex": cells_tex(results, cells)}
    if claims:
        texts |= {
            "verdicts.csv": verdict_table(claims).write_csv(),
            "verdicts.tex": verdicts_tex(claims, caveats(results.manifest)),
        }
    return texts


def verdict_table(claims: list[dict[str, Any]]) -> pl.DataFrame:
    """A row per hypothesis, with what a paper needs of its record."""
    columns = (
        "id", "claim", "statement", "metric", "kind", "margin", "bound", "unit", "estimate", "low", "high",
        "effect_size", "p", "p_adjusted", "n_seeds", "n_excluded", "n_diverged_lanes", "verdict", "reason",
        "seeds_needed",
    )  # fmt: skip
    rows = []
    for claim in claims:
        low, high = claim["interval"] or (None, None)
        rows.append({name: (claim | {"low": low, "high": high})[name] for name in columns})
    return pl.DataFrame(rows, infer_schema_length=None)


def verdicts_tex(claims: list[dict[str, Any]], caveats: Sequence[str] = ()) -> str:
    """The verdicts as a LaTeX table: what hypotheses state in common on a line of its own, with the unit, then each.

    Below it stand the `caveats`.
    """
    rows: list[str] = []
    for group in groups(claims):
        first = group.records[0]
        unit = scale_of(first).shown
        says = f"{first['claim']}: " * bool(first["claim"]) + group.statement + f" ({unit})" * bool(unit)
        rows += [r"\addlinespace"] * bool(rows)
        rows.append(rf"\multicolumn{{5}}{{@{{}}p{{0.92\linewidth}}@{{}}}}{{{tex(says)}}} \\*")
        for record, name in zip(group.records, group.names, strict=True):
            shown = texts(record)
            cells = (shown.estimate, interval_text(shown), p_text(record["p_adjusted"]), record["verdict"])
            rows.append(tex_row(rf"\quad {tex(name)}", *map(tex, cells)))
    head = tex_row("Hypothesis", "Estimate", r"95\% interval", r"$p_\mathrm{Holm}$", "Verdict")
    return tabular(r"@{}lrlrl@{}", head, rows, caveats_tex(caveats, columns=5))


def caveats_tex(caveats: Sequence[str], columns: int) -> str:
    """What is to be known of a table of so many columns, as rows below it."""
    return "\n".join(
        rf"\multicolumn{{{columns}}}{{@{{}}p{{0.92\linewidth}}@{{}}}}{{\textbf{{{tex(f'Caution: {caveat}.')}}}}} \\"
        for caveat in caveats
    )


def cells_tex(results: Results, cells: pl.DataFrame) -> str:
    """Final test accuracy of every cell as a LaTeX table: placements across, the other axes down.

    In percent, with its 95% interval. The best of each block, a level of the first of several axes down, is bold. A
    dagger gives the number of lanes of the cell that diverged.
    """
    down = [axis for axis in axes_in_order(results) if axis != "placement"]
    across = levels_of(results, "placement")
    if "placement" not in results.axes:
        cells = cells.with_columns(pl.lit(across[0]).alias("placement"))
    by_row: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for cell in cells.iter_rows(named=True):
        by_row.setdefault(tuple(cell[axis] for axis in down), {})[cell["placement"]] = cell
    rows: list[str] = []
    for _, block in itertools.groupby(by_row, key=lambda levels: levels[:1] if len(down) > 1 else ()):
        lines = list(block)
        best = max(_percent(cell) for line in lines for cell in by_row[line].values())
        rows += [r"\midrule"] if rows else []
        for i, levels in enumerate(lines):
            names = [level_label(level) if depth or not i else "" for depth, level in enumerate(levels)]
            rows.append(tex_row(*map(tex, names), *(_accuracy(by_row[levels].get(p), best) for p in across)))
    head = tex_row(*(tex(axis_label(axis).capitalize()) for axis in down), *(PLACEMENT_LABELS[p] for p in across))
    span = f"{{{len(down) + len(across)}}}{{@{{}}l@{{}}}}"
    note = rf"\addlinespace \multicolumn{span}{{\footnotesize {DIVERGED_NOTE}}} \\"
    columns = "@{}" + "l" * len(down) + "r" * len(across) + "@{}"
    return tabular(columns, head, rows, note if cells["diverged"].sum() else "")


def tex_row(*cells: str) -> str:
    """A row of a LaTeX table."""
    return " & ".join(cells) + r" \\"


def _percent(cell: dict[str, Any]) -> float:
    """The accuracy as printed, so that cells that look the same are equally good."""
    mean = cell["final_test_accuracy"]
    return -1.0 if mean is None else round(100 * mean, 1)


def _accuracy(cell: dict[str, Any] | None, best: float) -> str:
    if cell is None or cell["final_test_accuracy"] is None:
        return "--"
    mean = f"{_percent(cell):.1f}"
    if _percent(cell) == best:
        mean = rf"\textbf{{{mean}}}"
    low, high = (cell[f"final_test_accuracy_{end}"] for end in ("low", "high"))
    interval = "" if low is None else rf" {{\scriptsize [{100 * low:.1f}, {100 * high:.1f}]}}"
    return mean + (rf"$^{{\dagger{cell['diverged']}}}$" if cell["diverged"] else "") + interval


def tabular(columns: str, head: str, rows: list[str], note: str = "") -> str:
    """A booktabs table of these rows; a `longtable` where they do not fit a page."""
    long = len(rows) > MOST_ROWS
    environment = "longtable" if long else "tabular"
    lines = [
        f"% needs booktabs{' and longtable' if long else ''}",
        rf"\begin{{{environment}}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *([r"\endhead"] if long else []),
        *rows,
        r"\bottomrule",
        *([note] if note else []),
        rf"\end{{{environment}}}",
    ]
    return "\n".join(lines) + "\n"
