"""What a peer is asked, and what it answers. Needs the standard library only."""

from __future__ import annotations

import resource
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ready:
    """What a peer says when it could begin.

    Attributes:
        timed: the share of the case that a round trains, in words.
        compile_seconds: tracing and compiling the programs counted next.
        programs: programs compiled.
        programs_of_case: programs that the whole case needs.
        study_seconds: from nothing to all lanes trained, where the peer did just that.
        form: which of several ways of doing the same it found the fastest, and settled on.
    """

    timed: str
    compile_seconds: float = 0.0
    programs: int = 0
    programs_of_case: int = 0
    study_seconds: float | None = None
    form: str = ""


@dataclass(frozen=True)
class Timed:
    """One round: training steps over all lanes in it, and the seconds they took."""

    lane_steps: int
    seconds: float


class Peer(ABC):
    """A way to train the lanes of a case."""

    @abstractmethod
    def set_up(self) -> Ready:
        """Compile what is to be compiled, warm up, and settle how much a round trains."""

    @abstractmethod
    def round(self) -> Timed:
        """Train, from the initial state."""

    def check(self) -> float | None:
        """The batch loss, averaged over all steps of the lanes of `Case.sample`; None where there is no loss."""
        return None

    def peak_bytes(self) -> int:
        """The most memory held so far."""
        return peak_bytes()


def steps_within(seconds: float, seconds_per_step: float, most: int) -> int:
    """How many steps fit into a round: at least 2, at most `most`."""
    return max(2, min(most, round(seconds / seconds_per_step)))


def share(lanes: int, of_lanes: int, steps: int, of_steps: int) -> str:
    """What part of a case is trained, in words."""
    some_lanes = f"{lanes} of {of_lanes} lanes" if lanes < of_lanes else f"all {of_lanes} lanes"
    return f"{some_lanes}, {steps} of {of_steps} steps" if steps < of_steps else some_lanes


def peak_bytes() -> int:
    """The most memory this process has held: of this program alone where Linux tells, not of its parent."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
