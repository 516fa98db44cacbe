"""What a factor is: a setting that may be an axis of a study. Each is declared once, at its key in the study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bn_ablate.config.acting import ALWAYS, When

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings


@dataclass(frozen=True, kw_only=True)
class Factor:
    """The declaration of a factor.

    It stands in the annotation of the key, whose type, bounds, default and description are those of the factor. A
    traced factor has an array in `nn.traced.Factors`, a static one a program for each of its levels.

    Attributes:
        traced: whether one compiled program serves all its levels.
        prefix: what stands before a level in the short name of a cell, as `p` in `pre·relu·p0.2`.
        acts: in which settings it acts at all; elsewhere it counts as its default.
        alike: the levels that make the same network in these settings, that which stands for all of them first; the
            level that the settings have, where not given.
        axis: its name as an axis, where that is not its key.
        is_axis: whether a study may make an axis of it: its levels then have names.
        path: `section.key`.
        default: the level that a study has that does not mention it.
        description: what it is.
    """

    traced: bool
    prefix: str
    acts: When = ALWAYS
    alike: Callable[[LaneSettings], tuple[Any, ...]] | None = None
    axis: str = ""
    is_axis: bool = True
    path: str = ""
    default: Any = None
    description: str = ""

    @cached_property
    def place(self) -> tuple[str, str]:
        """Section and key."""
        section, _, key = self.path.partition(".")
        return section, key

    def level(self, lane: LaneSettings) -> Any:
        """Where the factor stands in `lane`."""
        section, key = self.place
        return getattr(getattr(lane, section), key)

    def levels_alike(self, lane: LaneSettings) -> tuple[Any, ...] | None:
        """The levels that make the same network in `lane`, the one that stands for them first; None: all of them do."""
        if not self.acts.holds(lane):
            return None
        return self.alike(lane) if self.alike else (self.level(lane),)

    def canonical_level(self, lane: LaneSettings) -> Any:
        """The level that stands for all those that make the same network as that of `lane`."""
        if not self.alike and (level := self.level(lane)) == self.default:
            return level  # whether it acts or not, which takes time to find out
        alike = self.levels_alike(lane)
        return self.default if alike is None else alike[0]
