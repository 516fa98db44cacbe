"""Two results folders side by side: what differs between the runs, and what each says of the same hypotheses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from bn_ablate.analysis.judge.shown import interval_text, p_text, texts
from bn_ablate.results import Results, ResultsError, compare, open_results

WATCHED = ("git", "lock", "packages", "python", "system", "device", "strategy", "data", "seeds", "status")
"""What of a manifest may explain that numbers differ, besides the study itself."""


class Change(NamedTuple):
    """Something that is not the same in both: what, and how it stands in each."""

    what: str
    a: str
    b: str


class Beside(NamedTuple):
    """Two results folders side by side.

    Attributes:
        names: the two folders, as tables call them.
        changes: what differs between the runs.
        hypotheses: a record per hypothesis that either has: `id`, `statement`, the records `a` and `b` (None where it
            is missing), `verdict_changed`, and whether the intervals `overlap` (None where one has none).
        lanes: how many lanes both hold, by their id.
        numbers, differing: values compared in those lanes, and how many of them differ.
        caveats: what is to be known of either before it is relied on.
    """

    names: tuple[str, str]
    changes: list[Change]
    hypotheses: list[dict[str, Any]]
    lanes: int
    numbers: int
    differing: int
    caveats: list[str]


def beside(first: str | Path, second: str | Path) -> Beside:
    """Put the results in two folders side by side; their hypotheses are matched by id.

    Raises:
        ResultsError: one holds no results, or no verdicts.
    """
    a, b = open_results(first), open_results(second)
    for results in (a, b):
        if not (results.path / "claims.json").is_file():
            raise ResultsError(f"{results.path}: has no claims.json; `bn-ablate report` writes it")
    in_a, in_b = ({record["id"]: record for record in results.claims} for results in (a, b))
    differences = compare(a, b)
    return Beside(
        (str(first), str(second)),
        _changes(a, b),
        [_pair(in_a.get(name), in_b.get(name)) for name in dict.fromkeys([*in_a, *in_b])],
        0 if differences is None else int(differences["lanes"].max() or 0),  # type: ignore[arg-type]
        0 if differences is None else int(differences["values"].sum()),
        0 if differences is None else int(differences["differing"].sum()),
        [f"{folder}: {caveat}" for folder, results in ((first, a), (second, b)) for caveat in results.caveats],
    )


def side_by_side(said: Beside) -> tuple[list[str], list[list[str]]]:
    """The hypotheses as a table of texts: heads, and a row each."""
    heads = ["hypothesis", "A", "B", "verdict A", "verdict B", "intervals"]
    rows = []
    for pair in said.hypotheses:
        overlap = {True: "overlap", False: "apart", None: "–"}[pair["overlap"]]
        sides = [pair[side] for side in "ab"]
        rows.append([pair["id"], *map(_estimate, sides), *(s["verdict"] if s else "–" for s in sides), overlap])
    return heads, rows


def summary(said: Beside) -> str:
    """What the comparison amounts to, as a sentence or two."""
    both = [pair for pair in said.hypotheses if pair["a"] and pair["b"]]
    changed = sum(pair["verdict_changed"] for pair in both)
    apart = sum(pair["overlap"] is False for pair in both)
    lanes = f"They share {said.lanes:,} lanes: {said.differing:,} of {said.numbers:,} numbers differ."
    return (
        f"Of {len(both)} hypotheses in both, {changed} {'has' if changed == 1 else 'have'} another verdict, "
        f"and {apart} {'has' if apart == 1 else 'have'} intervals that do not overlap. "
        + (lanes if said.lanes else "They share no lane.")
    )


def markdown(said: Beside) -> str:
    """The comparison as Markdown."""
    heads, rows = side_by_side(said)
    changes = _table(["what", "A", "B"], [list(change) for change in said.changes])
    return (
        "\n\n".join(
            [
                f"# {said.names[0]} (A) and {said.names[1]} (B)",
                summary(said),
                *(f"**Caution: {caveat}.**" for caveat in said.caveats),
                "## What changed",
                changes if said.changes else "Nothing that the manifests tell.",
                "## Hypotheses",
                _table(heads, rows) if rows else "There are none.",
                "Estimates with 95% intervals; p values are adjusted by Holm over each study.",
            ]
        )
        + "\n"
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _estimate(record: dict[str, Any] | None) -> str:
    if record is None:
        return "–"
    shown = texts(record)
    return f"{shown.estimate} {interval_text(shown)} {shown.unit}".strip() + f", p {p_text(record['p_adjusted'])}"


def _pair(a: dict[str, Any] | None, b: dict[str, Any] | None) -> dict[str, Any]:
    one = a or b or {}
    overlap = None
    if a and b and a["interval"] and b["interval"]:
        overlap = max(a["interval"][0], b["interval"][0]) <= min(a["interval"][1], b["interval"][1])
    changed = bool(a and b and a["verdict"] != b["verdict"])
    return {
        "id": one["id"],
        "statement": one["statement"],
        "a": a,
        "b": b,
        "verdict_changed": changed,
        "overlap": overlap,
    }


def _changes(a: Results, b: Results) -> list[Change]:
    """Leaves of the study and of what is watched of the manifest that are not the same."""
    sides = []
    for results in (a, b):
        known = {key: results.manifest.get(key) for key in WATCHED}
        study = {key: value for key, value in results.manifest["config"].items() if key != "hypotheses"}
        sides.append(dict(_leaves({**known, "study": study})))
    one, other = sides
    return [
        Change(key, str(one.get(key, "–")), str(other.get(key, "–")))
        for key in dict.fromkeys([*one, *other])
        if one.get(key, "–") != other.get(key, "–")
    ]


def _leaves(table: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        name = f"{path}.{key}".removeprefix(".")
        found += _leaves(value, name) if isinstance(value, dict) else [(name, value)]
    return found
