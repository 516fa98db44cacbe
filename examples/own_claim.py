"""The figure of a claim of one's own: accuracy by learning rate, with BN and without; `own_claim.toml` names it."""

import bn_ablate as bn

METRIC = "final_test_accuracy"


@bn.figure("rates", "placement", "learning_rate")
def rates(results: bn.Results) -> bn.Chart | None:
    """A line for each placement over the learning rates: mean over seeds, and its interval."""
    from bn_ablate.analysis.figures.claims.drawing import INTERVALS, dots, means
    from bn_ablate.analysis.figures.end_names import label_ends
    from bn_ablate.analysis.figures.style import small_multiples

    levels = sorted(results.axes["learning_rate"])
    figure, (ax,) = small_multiples(["digits"])
    ends = {}
    for placement in results.axes["placement"]:
        rows = means(results.lanes.filter(placement=placement), ["learning_rate"], METRIC).sort("learning_rate")
        if rows.height:
            dots(ax, range(rows.height), rows, placement, line=True)
            ends[placement] = rows["mean"][-1]
    if not ends:
        return None
    ax.set_xticks(range(len(levels)), list(map(str, levels)))
    ax.set(xlabel="Learning rate", ylabel=results.study.quantity(METRIC).axis)
    label_ends(figure, [ax], {ax: ends})
    caption = f"Final test accuracy by learning rate. {INTERVALS}"
    return bn.Chart("claim", "Accuracy by learning rate", caption, "Test accuracy by learning rate.", figure)
