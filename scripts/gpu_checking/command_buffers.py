"""Whether XLA's command buffers (CUDA graphs) make steps faster, with a traced and with a static number of steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import Any

from gpu_checking.section import Section, set_up_jax

FLAGS = {
    "default": "",
    "none": "--xla_gpu_enable_command_buffer=",
    "loops too": "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL",
}


def run(section: Section) -> None:
    """Report each setting: XLA reads its flags once, so each has a process of its own, which this module is too."""
    if "GPU_CHECK_COMMAND_BUFFERS" in os.environ:
        _measure(section)
        return
    for name in FLAGS:
        section.attempt(name, partial(_apart, section, name), 12)


def _apart(section: Section, name: str) -> Any:
    options = {
        "seconds": section.left() - 2,
        "tiny": section.tiny,
        "platform": section.platform,
        "torch_python": str(section.torch_python),
    }
    environment = os.environ | {"XLA_FLAGS": FLAGS[name], "GPU_CHECK_COMMAND_BUFFERS": name}
    said = subprocess.run(
        [sys.executable, "-m", "gpu_checking.section", "command_buffers", json.dumps(options)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=section.left(),
        check=False,
    )
    found = {line["key"]: line["value"] for line in map(json.loads, said.stdout.splitlines())}
    if said.returncode:
        found["ended"] = f"with status {said.returncode}; see the log"
    return found


def _measure(section: Section) -> None:
    set_up_jax(section.platform, section.folder / "programs")
    import jax

    from gpu_checking.many_lanes import SIZES, settings_of
    from gpu_checking.training import Job, compile_all, make_grid, segment

    lanes, room = (8, 8) if section.tiny else (64, 100)
    cells, seeds = SIZES[lanes]
    settings = settings_of("mlp", *((2, 8) if section.tiny else (3, 128)), 128)
    grid = make_grid(settings, (8, 8, 1), cells=cells, seeds=seeds, room=room, platform=jax.devices()[0].platform)
    jobs = {
        "traced": Job(grid, segment(grid.program, "vmap")),
        "static": Job(grid, segment(grid.program, "vmap", steps=room)),
    }
    compile_all(jobs)
    for name, job in jobs.items():
        section.attempt(name, partial(job.rate, 0.8))
