"""The opening of the page: networks a minute, finished, compilation and all, ours and those of others."""

from __future__ import annotations

from matplotlib.figure import Figure

from benching.figures import Stored, networks_per_minute, quickest
from benching.roster import OURS
from bn_ablate.analysis.figures.style import INK, LOOKS, MUTED, Chart, styled

GROUPS = {
    "b": "PyTorch, parameters stacked",
    "a": "PyTorch, one network after another",
    "d": "JAX, the training as one scan",
    "c": "Flax, a jitted step in a Python loop",
}
"""What others do, by the letter of the comparison; each is stood for by the quickest of its kind."""


@styled
def opening(case: Stored) -> Chart:
    """A bar for ours and for the quickest of each kind of others."""
    of = {"**bn_ablate**": networks_per_minute(case, OURS.name)}
    of |= {title: networks_per_minute(case, name) for group, title in GROUPS.items() if (name := quickest(case, group))}
    names = sorted(of, key=lambda name: of[name], reverse=True)
    figure = Figure(figsize=(5.2, 0.3 * len(names) + 0.5))
    axes = figure.subplots()
    ours = [name.startswith("**") for name in names]
    colors = [LOOKS["pre"].color if mine else MUTED for mine in ours]
    bars = axes.barh(range(len(names)), [of[name] for name in names], 0.62, color=colors)
    axes.bar_label(bars, [f"{of[name]:,.0f}" for name in names], padding=3, fontsize=7.5, color=INK)
    axes.set_yticks(range(len(names)), [name.strip("*") for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("networks a minute, compilation and all")
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    said = case["case"]
    grid = " × ".join(
        f"{n} {what}"
        for n, what in (
            (len(said["placements"]), "placements of BN"),
            (len(said["activations"]), "activations"),
            (len(said["rates"]), "dropout rates"),
            (said["seeds"], "seeds"),
        )
    )
    caption = (
        f"{case['lanes']} perceptrons ({said['depth']} hidden layers of {said['width']} units, {said['steps']} steps "
        f"of {said['batch_size']} digits; {grid}), from nothing to all of them trained, on one machine, by turns. Ours "
        f"are evaluated on {said['steps'] // said['every'] + 1} occasions on the way, the others on none; what others "
        "did not train to the end is taken to go on as fast as what they did."
    )
    alt = "Networks a minute: " + "; ".join(f"{name.strip('*')} {of[name]:,.0f}" for name in names) + "."
    return Chart("networks_a_minute", "Networks a minute", caption, alt, figure)
