"""Differences of two differences."""

from __future__ import annotations

from collections.abc import Sequence

from bn_ablate.analysis.judge.estimands import Kind
from bn_ablate.config.kinds.interaction import Interaction


class Interactions(Kind[Interaction]):
    """The mean of `(a - b) - (c - d)`."""

    kind = "interaction"

    def estimand(self, hypothesis: Interaction, label: str, sides: Sequence[str]) -> str:
        """Both differences."""
        a, b, c, d = sides
        return (
            f"Mean {label} over {a} minus that over {b}, less the same difference between {c} and {d}, paired by seed"
        )
