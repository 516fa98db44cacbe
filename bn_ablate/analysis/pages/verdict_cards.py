"""A verdict as a page shows it: in words, with its numbers as text and its interval as a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.pooled import Part
from bn_ablate.analysis.judge.selection import axis_label, level_label
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS, interval_text, p_text, stop_text, texts
from bn_ablate.config.quantity import UNITLESS

ANSWERS = {
    "supported": "Yes.",
    "contradicted": "No, the other way.",
    "equivalent": "No difference beyond the margin.",
    "inconclusive": "Undecided.",
}


def shown_verdict(claim: dict[str, Any], pooled: Mapping[str, list[Part]] | None = None) -> dict[str, Any]:
    """A record of `claims.json`, with its numbers as text, its interval as a drawing, and what it is averaged over."""
    shown = texts(claim)
    details = [
        ("Why", claim["reason"]),
        ("Estimand", claim["estimand"]),
        (
            "Seeds",
            "{n_seeds} used, {n_excluded} left out; {n_diverged_lanes} of the lanes diverged".format_map(claim),
        ),
        ("Divergence", claim["n_diverged_lanes"] and f"{_by_side(claim['diverged'])}. {claim['divergence_rule']}"),
        ("Selected", _selected(claim)),
        *kind_of(claim).details(claim),
        ("Look", stop_text(claim)),
        ("Interval", claim["interval_method"]),
        ("Test", claim["test"] and f"{claim['test']}; p {p_text(claim['p'])}"),
        ("Standardized effect", "" if (effect := claim["effect_size"]) is None else UNITLESS.value(effect, digits=2)),
        (
            "Seeds needed to decide",
            claim["seeds_needed"]
            and f"about {claim['seeds_needed']:,}, were mean and spread of the differences as here",
        ),
    ]
    return claim | {
        "icon": SIGNS_OF_VERDICTS[claim["verdict"]],
        "answer": ANSWERS[claim["verdict"]],
        "estimate_text": f"{shown.estimate} {shown.unit}".strip(),
        "interval_text": f"{shown.low} to {shown.high}" if claim["interval"] else "–",
        "p_text": p_text(claim["p_adjusted"]),
        "details": [(name, text) for name, text in details if text],
        "drawing": _drawing(claim),
        "pooled": [(axis_label(axis), [_part(part) for part in of]) for axis, of in (pooled or {}).items()],
    }


def _part(part: Part) -> tuple[str, str, bool]:
    """A level, its estimate and interval as text, and whether that lies on the other side of zero."""
    shown = texts(part.record)
    return level_label(part.level), f"{shown.estimate} {interval_text(shown)}", part.opposite


def _by_side(diverged: dict[str, int]) -> str:
    return "Diverged lanes: " + ", ".join(f"{count} in {side}" for side, count in diverged.items())


def _selected(claim: dict[str, Any]) -> str:
    """How often each level was chosen on validation data, by side."""
    sides = claim.get("selected", {}).items()
    return "; ".join(
        f"{side}: " + ", ".join(f"{level} ({n}×)" for level, n in levels.items()) for side, levels in sides
    )


def _drawing(claim: dict[str, Any]) -> dict[str, Any] | None:
    """Where estimate, interval, zero and margin stand on a scale from 0 to 100 of the hypothesis's own."""
    if not claim["interval"]:
        return None
    bounds = [bound for bound in dict.fromkeys(kind_of(claim).bounds(claim)) if bound]
    reach = 1.1 * max(map(abs, (*claim["interval"], claim["estimate"], *bounds))) or 1.0

    def place(value: float) -> float:
        return round(50 + 50 * value / reach, 2)

    low, high = map(place, claim["interval"])
    return {"low": low, "high": high, "estimate": place(claim["estimate"]), "bounds": [place(b) for b in bounds]}
