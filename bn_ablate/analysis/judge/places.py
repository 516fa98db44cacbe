"""Where claims hold: their primary hypotheses over results from several places, each adjusted as a family of its own.

A **place** is a data set, how many examples of it are trained on, and a network: what the record of a hypothesis names,
or else its study. A hypothesis that two folders put to the test at one place is not twice in a family: the later one
has a column of its own; and the lanes that two folders both hold are compared number by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, count
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bn_ablate.analysis.judge.claims import as_one_family
from bn_ablate.analysis.judge.selection import base_level
from bn_ablate.config.architectures import title_of
from bn_ablate.config.claims import CLAIMS
from bn_ablate.results import Results, ResultsError, compare, open_results, results_in
from bn_ablate.results.manifest import MANIFEST

HOLDS = ("supported", "equivalent")
SIDES = "abcd"


class Place(NamedTuple):
    """Where a hypothesis was put to the test; `copy` counts the columns before that have it at this place already."""

    data: str
    n_train: str
    network: str
    copy: int = 0

    @property
    def label(self) -> str:
        """Its name in tables and figures."""
        again = f" ({self.copy + 1})" if self.copy else ""
        return f"{self.data}, {self.n_train} examples, {title_of(self.network)}{again}"


def atlas(folders: Iterable[Path]) -> dict[str, Any]:
    """The claims over the results in `folders`, place by place.

    Returns `places`, a record each with its `label`, `folders`, `family` and `claims`, as `combine_claims` has them;
    `hypotheses`, the adjusted records with their `place`, `folder`, and the network's `depth` and `width`; `differ`,
    ids and verdicts of hypotheses that hold at one place and are contradicted at another; `again`, a record for each
    two folders that hold the same lanes; `left_out`, sentences on folders that say nothing here; and `caveats`.

    Raises:
        ResultsError: a folder cannot be read, none has a verdict, or two say different things of one claim.
    """
    studies, left_out = _studies(folders)
    known = dict(CLAIMS)
    for results in studies:
        for name, claim in results.study.claims.items():
            if known.setdefault(name, claim) != claim:
                raise ResultsError(f"{results.path}: says another thing of its claim {name!r} than another folder")
    by_place: dict[Place, list[dict[str, Any]]] = {}
    for results in studies:
        theirs: dict[Place, list[dict[str, Any]]] = {}
        for record in results.claims:
            if record["claim"]:
                theirs.setdefault(_place_of(record, results), []).append(_placed(record, results))
        for place, records in theirs.items():
            columns = (place._replace(copy=copy) for copy in count())
            free = next(column for column in columns if not _asked(by_place.get(column, [])) & _asked(records))
            by_place.setdefault(free, []).extend(records)
    if not by_place:
        raise ResultsError(
            "; ".join(["no verdict on a claim is in these folders", *left_out]) + "; `bn-ablate run c1_steep_region`"
        )
    places, hypotheses = [], []
    for place, records in sorted(by_place.items(), key=lambda item: _in_order(item[0])):
        said = as_one_family(records, known)
        hypotheses += [record | {"place": place.label} for record in said["hypotheses"]]
        of = sorted({record["folder"] for record in records})
        described = {key: value for key, value in place._asdict().items() if key != "copy"}
        places.append(described | {"label": place.label, "folders": of, "family": said["family"],
                                   "claims": said["claims"]})  # fmt: skip
    return {
        "places": places,
        "hypotheses": hypotheses,
        "differ": differing(hypotheses),
        "again": _again(studies),
        "left_out": left_out,
        "caveats": [f"{results.path}: {caveat}" for results in studies for caveat in results.caveats],
    }


def differing(hypotheses: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hypotheses that hold at one place and are contradicted at another: `claim`, `id`, `verdicts` by place."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for record in hypotheses:
        found.setdefault((record["claim"], record["id"]), {})[record["place"]] = record["verdict"]
    return [
        {"claim": claim, "id": name, "verdicts": verdicts}
        for (claim, name), verdicts in found.items()
        if "contradicted" in verdicts.values() and {*HOLDS} & {*verdicts.values()}
    ]


def same_lanes(pair: dict[str, Any]) -> str:
    """What came of comparing the lanes that two folders both hold, as a sentence."""
    first, second = pair["folders"]
    lanes = f"{first} and {second} hold {pair['lanes']:,} of the same lanes"
    if not pair["differing"]:
        return f"{lanes}: all {pair['values']:,} numbers are equal"
    apart = (
        "" if pair["most_accuracy"] is None else f"; test accuracies by at most {100 * pair['most_accuracy']:.2f} pp"
    )
    return f"{lanes}: {pair['differing']:,} of {pair['values']:,} numbers differ{apart}"


def _studies(folders: Iterable[Path]) -> tuple[list[Results], list[str]]:
    """The results in `folders` that have verdicts on claims, and why others are left out; files are passed over."""
    found, left_out = [], []
    for given in map(Path, folders):
        there = results_in(given)
        if not there and given.exists() and not given.is_dir():
            continue
        if not there:
            raise ResultsError(f"{given}: holds no results (no {MANIFEST})")
        for folder in there:
            results = open_results(folder)
            why = results.incomplete or _no_claims(results)
            if why:
                left_out.append(f"{folder}: {'; '.join(why)}")
            else:
                found.append(results)
    return found, left_out


def _no_claims(results: Results) -> list[str]:
    if not (results.path / "claims.json").is_file():
        return [f"has no claims.json; `bn-ablate report {results.path}` writes it"]
    return [] if any(record["claim"] for record in results.claims) else ["has no hypothesis of a claim"]


def _asked(records: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    """Which hypotheses of which claims the records are of."""
    return {(record["claim"], record["id"]) for record in records}


def _place_of(record: dict[str, Any], results: Results) -> Place:
    n_train = _level(record, results, "n_train")
    if n_train == "None":
        n_train = str(results.manifest.get("data", {}).get("sizes", {}).get("train", "all"))
    return Place(results.study.data.name, n_train, _level(record, results, "architecture"))


def _placed(record: dict[str, Any], results: Results) -> dict[str, Any]:
    where = {axis: _level(record, results, axis) for axis in ("depth", "width")}
    return {"study": results.name, "folder": str(results.path)} | where | record


def _level(record: dict[str, Any], results: Results, axis: str) -> str:
    """The level of `axis` in the cells that a record is about; from the least to the greatest, where they have several.

    That is what its sides name, or all levels of the axis, or what the study has throughout.
    """
    if axis not in results.axes:
        return str(base_level(results.study, axis))
    sides = [record[side] for side in SIDES if isinstance(record.get(side), dict)]
    named = [side.get(axis, list(results.axes[axis])) for side in sides]
    levels = {level for one in named for level in (one if isinstance(one, list | tuple) else [one])}
    if all(isinstance(level, int | float) for level in levels):
        return "–".join(dict.fromkeys((str(min(levels)), str(max(levels)))))
    return ", ".join(str(level) for level in results.axes[axis] if level in levels)


def _in_order(place: Place) -> tuple[Any, ...]:
    """Data sets by name, then by examples."""
    first = place.n_train.split("–")[0]
    return place.data, int(first) if first.isdigit() else 2**63, place.network, place.copy


def _again(studies: Sequence[Results]) -> list[dict[str, Any]]:
    """For each two folders that hold the same lanes, how these differ.

    Ids are read without the rest of the table, whose columns may be those of another version.
    """
    ids = [set(results.scan("lanes").select("lane_id").collect()["lane_id"]) for results in studies]
    pairs = combinations(range(len(studies)), 2)
    return [_compared(studies[i], studies[j]) for i, j in pairs if ids[i] & ids[j]]


def _compared(a: Results, b: Results) -> dict[str, Any]:
    found = compare(a, b)
    assert found is not None, "they hold the same lanes"
    accuracy = found.filter(pl.col("table") == "lanes", pl.col("column") == "final_test_accuracy")
    return {
        "folders": [str(a.path), str(b.path)],
        "lanes": int(found["lanes"].max() or 0),  # type: ignore[arg-type]
        "values": int(found["values"].sum()),
        "differing": int(found["differing"].sum()),
        "most_accuracy": accuracy["largest"].max() if accuracy.height else None,
    }
