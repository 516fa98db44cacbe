"""Stored figures as Markdown, and Markdown into the page that speaks of them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from results_page import between

from benching.cases import MLP_720
from benching.figures import Spread, Stored, lead, present, rates, study_seconds, targets
from benching.picture import opening
from benching.roster import OURS, PEERS
from benching.starting import STARTS
from bn_ablate.analysis.figures import image, laid_out

VERDICTS = {"aim": "yes", "must": "must, not aim", "missed": "**no**", "not measured": "not measured"}


def write_page(stored: Stored, page: Path) -> None:
    """Put the figures between the markers of `page`, and its opening picture beside it.

    Raises:
        ValueError: the markers are not there.
    """
    text = between(page.read_text(encoding="utf-8"), "bench", render(stored))
    for case in stored["cases"]:
        if case["case"]["name"] == MLP_720.name:
            chart = laid_out(opening(case))
            picture = page.parent / "figures" / f"{chart.name}.png"
            picture.write_bytes(image(chart, "png"))
            shown = f"![{chart.alt}]({picture.relative_to(page.parent).as_posix()})\n\n*{chart.caption}*"
            text = between(text, "opening", shown)
    page.write_text(text, encoding="utf-8")


def render(stored: Stored) -> str:
    """All tables."""
    parts = [_machine(stored["machine"], stored["settings"]), "### What was to be reached", _targets(stored)]
    for case in stored["cases"]:
        parts += [f"### {case['case']['title']}", _describe(case["case"]), _case(case)]
    if stored["scaling"]:
        parts += ["### Scaling", *_scaling(stored["scaling"])]
    if stored.get("starting"):
        parts += ["### Starting", _starting(stored["starting"])]
    return "\n\n".join(parts)


def _starting(starts: list[Stored]) -> str:
    """Of a first process, which compiles, and of a second one, which loads."""
    keys = ("compile_seconds", "step_seconds", "cpu_seconds", "study_seconds")
    columns = ["to the first step, s", "CPU, s", "finished, s"]
    head = ["", "compiling, s", *columns, "loading, s", *columns]
    rows = [
        [
            STARTS[s["name"]].title,
            *(f"{s[which][key]:.2f}" if key in s[which] else "" for which in ("first", "second") for key in keys),
        ]
        for s in starts
    ]
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table, its first columns aligned left and the others right."""
    rules = ["---" if i < left else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rules, *rows))


def _machine(machine: dict[str, Any], settings: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    quick = " **A quick run: too short to quote.**" if settings["quick"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}; "
        f"{versions}; commit {machine['commit'] or 'unknown'}; {machine['created']}; load before "
        f"{machine['load_before']:.1f}; {settings['rounds']} rounds; "
        f"{settings['seconds'] / 60:.0f} minutes in all.{quick}"
    )


def _targets(stored: Stored) -> str:
    rows = []
    for target in targets(stored):
        sign = "≤ " if target.at_most and target.must != target.aim else ""
        measured = "" if target.measured is None else target.show(target.measured)
        wanted = [sign + target.show(target.must), sign + target.show(target.aim)]
        rows.append([target.title, target.where, *wanted, measured, VERDICTS[target.verdict]])
    return _table(["figure", "case", "must", "aim", "measured", "reached"], rows, left=2)


def _describe(case: dict[str, Any]) -> str:
    network = f"{case['depth']} blocks, width {case['width']}, batch {case['batch_size']}"
    levels = ("placements", "activations", "rates", "seeds")
    counts = [case[key] if isinstance(case[key], int) else len(case[key]) for key in levels]
    grid = " × ".join(f"{n} {key if n > 1 else key[:-1]}" for n, key in zip(counts, levels, strict=True))
    return f"{network}; {grid}; {case['steps']} steps; images: {case['images']}."


def _case(case: Stored) -> str:
    whole = case["case"]["whole"]
    head = ["", "lane-steps/s", "running, ours is", "compile s", "programs", "peak MB"]
    head += ["study s", "finished, ours is", "mean loss"] if whole else []
    rows, absent = [], []
    for name, peer in case["peers"].items():
        if name not in present(case):
            absent.append(f"{PEERS[name].title}: {peer.get('absent', 'nothing was measured')}.")
            continue
        ready = peer["ready"]
        compiled = ready["programs"]
        part = (
            f"{compiled} of {ready['programs_of_case']}"
            if compiled < ready["programs_of_case"]
            else f"{compiled or ''}"
        )
        row = [
            PEERS[name].title,
            f"{statistics.median(rates(case, name)):,.0f}",
            "" if name == OURS.name else _spread(lead(case, name)),
            f"{ready['compile_seconds']:.1f}" if compiled else "",
            part,
            f"{peer['peak_bytes'] / 1e6:,.0f}",
        ]
        if whole:
            sooner = study_seconds(case, name) / study_seconds(case, OURS.name)
            trains = peer["loss"] is not None
            row += [f"{study_seconds(case, name):.1f}" if trains else ""]
            row += [f"{sooner:.3g}×" if trains and name != OURS.name else ""]
            row += [f"{peer['loss']:.3f}" if trains else ""]
        rows.append([*row, _timed(ready)])
    table = _table([*head, "timed"], rows)
    return "\n\n".join([table, *absent])


def _timed(ready: dict[str, Any]) -> str:
    return f"{ready['timed']} ({ready['form']})" if ready["form"] else str(ready["timed"])


def _spread(spread: Spread) -> str:
    return f"{spread.median:.3g}× ({spread.least:.3g}–{spread.most:.3g})"


def _scaling(points: list[Stored]) -> list[str]:
    """A table for each axis, and the lane-steps per second also as a share of the best of them."""
    tables = []
    for axis in dict.fromkeys(point["axis"] for point in points):
        constant = ["steps"] if axis == "lanes" else ["lanes", "steps"]
        mine = [point for point in points if point["axis"] == axis]
        speeds = [point["lane_steps"] / point["seconds"] for point in mine]
        rows = [
            [
                str(p["value"]),
                *(str(p[key]) for key in constant),
                f"{speed:,.0f}",
                f"{speed / max(speeds):.2f}",
                f"{p['lanes'] / p['study_seconds']:.3g}",
            ]
            for p, speed in zip(mine, speeds, strict=True)
        ]
        head = [axis, *constant, "lane-steps/s", "share of the best", "lanes/s"]
        tables.append(_table(head, rows, left=0))
    return tables


def load(path: Path) -> Stored:
    """Stored figures."""
    return dict(json.loads(path.read_text()))
