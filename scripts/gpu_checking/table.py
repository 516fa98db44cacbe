"""What was measured, as lines for a terminal. Needs the standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Held = dict[str, dict[str, Any]]

VERDICTS = {True: "passed, ", False: "NOT WITHIN TOLERANCE, ", None: ""}
"""Of a row of numerics; for some nothing is promised."""


def lines_of(held: Held) -> list[str]:
    """A short table of each section; what failed or was skipped is there by name."""
    lines: list[str] = []
    for name, section in held.items():
        if name == "run":
            continue
        lines += ["", f"## {name}" + (f" ({section['seconds']:.0f} s)" if "seconds" in section else "")]
        for key, value in section.items():
            if key == "seconds":
                continue
            try:
                lines += [f"{key}: {text}" for text in _texts(name, value)]
            except (KeyError, TypeError, ValueError) as error:
                lines.append(f"{key}: ({error!r})")
    return [*lines, "", *_ratios(held)]


def _texts(section: str, value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield str(value)
    elif "skipped" in value or ("error" in value and len(value) <= 2):
        yield f"skipped: {value['skipped']}" if "skipped" in value else f"FAILED: {value['error'][:200]}"
    elif "step_ms" in value:
        yield (
            f"{value['step_ms']:.3f} ms a step, {value['lane_steps_per_second']:,.0f} lane-steps/s; "
            f"compiled in {value['compile_seconds']:.1f} s"
        )
    elif "against float64" in value:
        for title, found in value["against float64"].items():
            yield f"{title}: {VERDICTS[found.get('within')]}{_numbers(found)}"
        yield f"between: {_numbers(value['between'])}"
    elif "dearest" in value:
        yield f"{value['kernels_in_a_step']:.0f} kernels a step, {value['step_ms_in_kernels']:.3f} ms in them"
        for name, (milliseconds, times) in value["dearest"].items():
            yield f"{milliseconds:.3f} ms in {times:.0f}: {name}"
    elif section == "tests":
        yield f"{value['passed']} passed, {len(value['failed'])} failed, ended {value['ended']}"
        yield from value["failed"][:40]
    elif "finished_seconds" in value:
        yield _numbers({k: v for k, v in value.items() if k not in ("lane_names", "metrics", "verdicts")})
    else:
        yield _numbers(value)


def _numbers(found: Any) -> str:
    if isinstance(found, dict):
        return ", ".join(f"{key} {_numbers(value)}" for key, value in found.items() if key != "traceback")
    return f"{found:.4g}" if isinstance(found, float) else str(found)


def _ratios(held: Held) -> Iterator[str]:
    """What the figures are for."""
    lanes = {
        key: value for key, value in held.get("lanes", {}).items() if isinstance(value, dict) and "step_ms" in value
    }

    def step(key: str) -> float:
        return float(lanes[key]["step_ms"]) if key in lanes else math.nan

    yield "## in short"
    yield from _numerics(held)
    yield f"512 lanes : 1 lane, time of a step: {step('vmap, 512 lanes') / step('vmap, 1 lanes'):.2f}"
    yield f"traced : static count, 1 lane: {step('vmap, 1 lanes') / step('vmap, 1 lanes, static count'):.2f}"
    rivals = {k: v for k, v in held.get("rivals", {}).items() if isinstance(v, dict) and "finished_seconds" in v}
    ours = rivals.get("bn_ablate, tf32", {}).get("finished_seconds", math.nan)
    for name, value in rivals.items():
        said = " (extrapolated)" if value.get("extrapolated") else ""
        seconds = value["finished_seconds"]
        yield f"{name}: finished in {seconds:.1f} s{said}, {seconds / ours:.2f} of ours in tf32"
    yield from _studies(held)


def _numerics(held: Held) -> Iterator[str]:
    """How many rows are as accurate as promised, and whether another process gave the same bits."""
    networks = {
        name: value["against float64"]
        for section in ("numerics", "numerics-resnet")
        for name, value in held.get(section, {}).items()
        if isinstance(value, dict) and "against float64" in value
    }
    judged = [row["within"] for rows in networks.values() for row in rows.values() if row.get("within") is not None]
    yield f"numerics: {sum(judged)} of {len(judged)} rows within tolerance"
    elsewhere = held.get("lanes", {}).get("bits in another process", {})
    for name, bits in elsewhere.items():
        if "bits" in (row := networks.get(name, {}).get("device, vmap", {})):
            yield f"{name}, the same bits in another process: {row['bits'] == bits}"


def _studies(held: Held) -> Iterator[str]:
    """The main study in every section that has it, at each precision, against the first."""
    runs = {
        f"{section}, {key}": value
        for section, of_section in held.items()
        for key, value in of_section.items()
        if isinstance(value, dict) and "metrics" in value
    }
    for name, found in runs.items():
        size = f"{found['lanes']} lanes × {found['steps']} steps"
        yield f"main study, {name}: {size} in {found['finished_seconds']:.1f} s"
    base_name, *others = [*runs] or [""]
    for name in others:
        base, other = runs[base_name], runs[name]
        where = {lane: i for i, lane in enumerate(base["lane_names"])}
        for metric, values in other["metrics"].items():
            pairs = [(v, base["metrics"][metric][where[i]]) for i, v in zip(other["lane_names"], values, strict=True)]
            gaps = [abs(a - b) for a, b in pairs if a is not None and b is not None]
            most, mean = max(gaps, default=math.nan), sum(gaps) / max(len(gaps), 1)
            yield f"{metric}, {name} : {base_name}: most {most:.3g}, mean {mean:.3g}"
        if isinstance(base["verdicts"], list) and isinstance(other["verdicts"], list):
            both = list(zip(base["verdicts"], other["verdicts"], strict=True))
            both = [(a, b) for a, b in both if None not in (a["estimate"], b["estimate"])] or both[:0]
            moved = [abs(a["estimate"] - b["estimate"]) for a, b in both]
            differing = [a["id"] for a, b in both if a["verdict"] != b["verdict"]]
            yield (
                f"estimates, {name} : {base_name}: most {max(moved, default=math.nan):.3g}; "
                f"verdicts that differ: {', '.join(differing) or 'none'}"
            )
