"""The sections, the most important first, and the time that each may take. Needs the standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """A section: `gpu_checking.<module>`, whose `run` is called in a process of its own.

    Attributes:
        name: as on the command line.
        module: where it is written.
        most_seconds: after which it is ended.
        least_seconds: with fewer than these left it is not begun.
        environment: settings of its process.
        platform: JAX's, where it is not that of the run.
        beside_tests: times nothing, so that tests may run beside it.
    """

    name: str
    module: str
    most_seconds: float
    least_seconds: float = 20.0
    environment: dict[str, str] = field(default_factory=dict)
    platform: str = ""
    beside_tests: bool = False


SHARED_MEMORY = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Where other processes use the card at the same time, or its memory is what is measured."""

SECTIONS = (
    Part("limits", "limits", 45),
    Part("numerics", "numerics", 75, environment=SHARED_MEMORY, beside_tests=True),
    Part("lanes", "many_lanes", 80),
    Part("study", "main_study", 75),
    Part("rivals", "rivals", 110, 30),
    Part("convolution", "many_images", 100, 30),
    Part("memory", "peaks", 60, environment=SHARED_MEMORY),
    Part("graphs", "command_buffers", 60),
    Part("study-on-cpu", "main_study", 60, platform="cpu"),
)
