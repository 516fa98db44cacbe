"""The note's own figure: the first layer's pre-activations before and after BN, over the activation and its slope."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.special import expit

from bn_ablate.analysis.figures.style import LOOKS, MUTED, PAPER, Chart, small_multiples, styled
from bn_ablate.analysis.judge.selection import hold, level_label, levels_of
from bn_ablate.results import Results

Array = NDArray[np.float64]

BAND = 3.0
SATURATED = 0.1
"""A unit is saturated where the slope is below this share of its maximum."""

CURVES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: (np.abs(z) < 1).astype(float)),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
}
"""The saturating activations, each with its slope."""


MOST_ROWS = 3


@styled
def steep_region(results: Results) -> Chart | None:
    """Densities of z before and after BN at initialization and at the end, a row for each saturating activation.

    Nothing where the study has none of them with BN before.
    """
    held = hold(results, ("placement", "activation"))
    lanes = held.lanes.filter(placement="pre").select("lane_id", "activation")
    first = results.of_lanes("histograms", lanes, pl.col("layer") == 0)
    there = first["activation"].unique().to_list()
    activations = [name for name in levels_of(results, "activation") if name in CURVES and name in there][:MOST_ROWS]
    if not activations:
        return None
    steps = first["step"].unique().sort()
    times = ["at initialization", f"after {steps[-1]} steps"][: len(steps)]
    titles = [f"{level_label(name)}, {time}" for name in activations for time in times]
    figure, panels = small_multiples(titles, height=1.9, columns=len(steps), sharey=False)
    said = []
    for ax, (activation, step) in zip(panels, product(activations, steps), strict=True):
        at_step = first.filter(step=step, activation=activation)
        _backdrop(ax, activation, at_step["low"][0], at_step["high"][0])
        before, after = (
            _density(ax, activation, at_step.filter(site=site), placement, height)
            for site, placement, height in (("dense", "none", 0.96), ("activation_input", "pre", 0.66))
        )
        if step == steps[-1]:
            said.append(f"{level_label(activation)} {before:.1%} before BN and {after:.1%} after it")
        ax.set_xlim(-8, 8)
        ax.set_ylim(0, ax.dataLim.y1 * 1.04)
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines["left"].set_visible(False)
    figure.supxlabel("Pre-activation z of the first hidden layer", fontsize=7.5)
    caption = (
        "Does BN keep what activations get where they are steep (C1)? What the first dense layer gives (before BN) and "
        "what the activation gets (after BN), over the activation (thin line) and its slope (dotted), each scaled to "
        f"the panel. Saturated, with a slope below {SATURATED:.0%} of the steepest, {times[-1]}: {'; '.join(said)}. "
        f"Shaded: |z| ≤ {BAND:g}. All units, probed samples and seeds of the networks with BN before the activation. "
        + held.note
    ).strip()
    names = ", ".join(map(level_label, activations))
    alt = f"Distributions of the first layer's pre-activations before and after BN, over {names} and their slopes."
    return Chart("steep_region", "Where the activation is steep", caption, alt, figure)


def _backdrop(ax: Axes, activation: str, low: float, high: float) -> None:
    """The activation and its slope, from the foot to the top of the panel, and the band that the 99% rule speaks of."""
    z = np.linspace(low, high, 801)
    function, slope = CURVES[activation]
    over = ax.get_xaxis_transform()
    f, f_slope = function(z), slope(z) / slope(z).max()
    f = (f - f.min()) / (f.max() - f.min())
    ax.axvspan(-BAND, BAND, color=MUTED, alpha=0.1, linewidth=0)
    ax.plot(z, 0.97 * f, color=MUTED, linewidth=0.8, transform=over)
    ax.plot(z, 0.97 * f_slope, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)), transform=over)
    halo = [withStroke(linewidth=2, foreground=PAPER)]
    text: dict[str, Any] = {"color": MUTED, "fontsize": 7, "transform": over, "path_effects": halo}
    ax.text(7.8, 0.93, level_label(activation), ha="right", va="top", **text)
    ax.text(z[f_slope >= 0.62][-1] + 0.25, 0.62, "slope", va="center", **text)


def _density(ax: Axes, activation: str, histograms: pl.DataFrame, placement: str, height: float) -> float:
    """One distribution, summed over seeds, with its share in the band and its saturated share written beside it.

    Returns the saturated share.
    """
    counts = np.array(histograms["counts"].to_list(), dtype=float).sum(axis=0)
    low, high = histograms["low"][0], histograms["high"][0]
    edges = np.linspace(low, high, len(counts) - 1)
    density = counts[1:-1] / counts.sum() / np.diff(edges)
    color = LOOKS[placement].color
    ax.stairs(density, edges, color=color, fill=True, alpha=0.2, linewidth=0)
    ax.stairs(density, edges, color=color, linewidth=1.2)
    z = np.linspace(low, high, 20001)
    slope = CURVES[activation][1](z)
    steep = z[slope >= SATURATED * slope.max()]
    inside, saturated = _share(counts, edges, -BAND, BAND), 1 - _share(counts, edges, steep[0], steep[-1])
    label: dict[str, Any] = {"color": color, "fontsize": 7, "transform": ax.transAxes, "va": "top"}
    ax.text(0.0, height, "before BN" if placement == "none" else "after BN", weight="bold", **label)
    ax.text(0.0, height - 0.08, f"{inside:.1%} in |z| ≤ {BAND:g}\n{saturated:.1%} saturated", linespacing=1.3, **label)
    return saturated


def _share(counts: Array, edges: Array, low: float, high: float) -> float:
    """The share of all values between `low` and `high`, taking them as even within a bin."""
    below = np.concatenate(([counts[0]], counts[0] + np.cumsum(counts[1:-1]))) / counts.sum()
    return float(np.interp(high, edges, below) - np.interp(low, edges, below))
