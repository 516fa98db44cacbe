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
        networks: those that it is about, where it is about some.
        call: the one that has time for it.
        beside_tests: times nothing, so that tests may run beside it.
    """

    name: str
    module: str
    most_seconds: float
    least_seconds: float = 20.0
    environment: dict[str, str] = field(default_factory=dict)
    platform: str = ""
    networks: tuple[str, ...] = ()
    call: str = "first"
    beside_tests: bool = False


SHARED_MEMORY = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Where other processes use the card at the same time, or its memory is what is measured."""

SECTIONS = (
    Part("limits", "limits", 40),
    Part("numerics", "numerics", 75, environment=SHARED_MEMORY, networks=("mlp", "cnn"), beside_tests=True),
    Part("lanes", "many_lanes", 75),
    Part("study", "main_study", 65),
    Part("rivals", "rivals", 130, 30),
    Part("graphs", "command_buffers", 50),
    Part("numerics-resnet", "numerics", 75, environment=SHARED_MEMORY, networks=("resnet",), call="second"),
    Part("convolution", "many_images", 100, 30, networks=("cnn",), call="second"),
    Part("convolution-resnet", "many_images", 100, 30, networks=("resnet",), call="second"),
    Part("memory", "peaks", 150, 60, environment=SHARED_MEMORY, call="second"),
    Part("study-untuned", "main_study", 60, environment={"XLA_FLAGS": "--xla_gpu_autotune_level=0"}, call="third"),
    Part(
        "study-triton",
        "main_study",
        80,
        environment={"XLA_FLAGS": "--xla_gpu_enable_triton_gemm=true"},
        call="third",
    ),
    Part("kernels", "kernels", 110, 40, call="third"),
    Part("real-images", "real_images", 420, 120, call="images"),
    Part("study-on-cpu", "main_study", 70, platform="cpu", call="third"),
)

TESTS = "tests"
"""The section that runs beside another."""

CALLS = {
    call: (*(part.name for part in SECTIONS if part.call == call), *([TESTS] if call == "first" else []))
    for call in ("first", "second", "third", "images")
}
"""What fits into one call of `--minutes`."""
