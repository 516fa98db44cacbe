"""The protocol of the studies as paragraphs, written from their manifests."""

from __future__ import annotations

from collections.abc import Sequence

from bn_ablate.analysis.judge.selection import axes_in_order, axis_label, level_label
from bn_ablate.config.architectures import title_of
from bn_ablate.config.schema import Study
from bn_ablate.results import Results

STATISTICS = """\
Cells are compared within a seed, which draws the split of the data, the initial weights, the batches and the dropout \
noise of every cell alike. Intervals are 95% bias-corrected and accelerated bootstrap intervals over seeds, widened \
for few seeds; p values are of two-sided sign-flip tests, and of two one-sided t tests for equivalence. The p values \
of the {family} primary hypotheses are adjusted together by Holm. Hypotheses are stated in the studies' files. Test \
data choose nothing; a learning rate that is chosen is the best one on validation data, seed by seed."""


def methods_md(studies: list[Results], family: int, caveats: Sequence[str] = ()) -> str:
    """`METHODS.md`: what is to be minded, a paragraph on what all share, and one for each study."""
    parts = ["# Methods", *(f"**Caution: {caveat}.**" for caveat in caveats), STATISTICS.format(family=family)]
    return "\n\n".join([*parts, *(f"## {r.study.title or r.name}\n\n{_paragraph(r)}" for r in studies)]) + "\n"


def _looks(study: Study) -> str:
    """How the number of seeds came about, where it was not fixed."""
    if not study.looks:
        return ""
    looks = ", ".join(f"{n:,}" for n in study.looks)
    return (
        f" (hypotheses were looked at with {looks} seeds, until decided: the tests of a look have"
        " the share of the error that it has of the seeds, and intervals are repeated ones)"
    )


def _paragraph(results: Results) -> str:
    study, manifest = results.study, results.manifest
    model, train = study.model, study.train
    data, device = manifest.get("data", {}), manifest.get("device", {})
    sizes = ", ".join(f"{n:,} {part}" for part, n in data.get("sizes", {}).items())
    axes = "; ".join(
        f"{axis_label(a)} ({', '.join(map(level_label, results.axes[a]))})" for a in axes_in_order(results)
    )
    diverged = results.networks.filter(status="diverged").height
    versions = ", ".join(f"{name} {version}" for name, version in sorted(manifest.get("packages", {}).items()))
    seeds = f"{results.seeds_per_cell} seeds{_looks(study)}"
    return (
        f"{results.networks.height:,} networks were trained, each cell of the grid with {seeds}; "
        f"{diverged:,} diverged. Data: {data.get('name', study.data.name)}{f' ({sizes} examples)' if sizes else ''}. "
        f"Varied: {axes or 'nothing'}. Unless varied: {title_of(model.architecture)} of {model.depth} hidden layers, "
        f"width {model.width}, {level_label(model.activation)}, initialized by {level_label(model.kernel_init)}; "
        f"{train.optimizer}, learning rate {train.learning_rate:g}, batches of {train.batch_size}, "
        f"{train.length}. Trained on {device.get('count', '?')} × {device.get('kind', '?')} in "
        f"float32, with {versions or 'JAX'}."
    )
