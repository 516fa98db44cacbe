"""Where a step's time goes on the device, by kernel; and how many kernels it starts: of a trace of ten steps."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData

from gpu_checking.many_images import IMAGE, NETWORKS
from gpu_checking.many_lanes import settings_of
from gpu_checking.section import Section, set_up_jax
from gpu_checking.training import Grid, Job, compile_all, make_grid, segment

STEPS = 10
MOST_KERNELS = 16
"""The dearest, which are listed by name."""


def run(section: Section) -> None:
    """Time, and trace, a few programs."""
    set_up_jax(section.platform, section.folder / "programs")
    jobs = {}
    for name, grid in _grids(section).items():
        jobs[f"{name}, vmap"] = Job(grid, segment(grid.program, "vmap"))
        if not name.startswith("MLP"):
            coarse = grid.at("tensorfloat32")
            jobs[f"{name}, vmap, tensorfloat32"] = Job(coarse, segment(coarse.program, "vmap"))
    section.report("compiled in", compile_all(jobs))
    for name, job in jobs.items():
        section.attempt(name, job.rate, 4)
        section.attempt(f"{name}: kernels", partial(_traced, job), 4)


def _grids(section: Section) -> dict[str, Grid]:
    """Perceptrons, convolutional and residual networks, as in the other sections."""
    platform, tiny = jax.devices()[0].platform, section.tiny
    lanes = 2 if tiny else 8
    perceptrons = settings_of("mlp", *((2, 8) if tiny else (3, 128)), 128)
    many = (2, 1) if tiny else (32, 16)
    grids = {
        f"MLP 3×128, {many[0] * many[1]} lanes": make_grid(
            perceptrons, (8, 8, 1), cells=many[0], seeds=many[1], room=STEPS, platform=platform
        )
    }
    for architecture, (title, depth, width) in NETWORKS.items():
        size = (3 if architecture == "resnet" else 2, 4) if tiny else (depth, width)
        settings = settings_of(architecture, *size, 8 if tiny else 128, convolution="native")
        grids[f"{title}, {lanes} lanes"] = make_grid(
            settings, IMAGE, cells=lanes, seeds=1, room=STEPS, platform=platform
        )
    return grids


def _traced(job: Job) -> dict[str, Any]:
    """Milliseconds of a step by kernel, without numbers in their names."""
    arrays = jax.device_put(job.grid.arrays, job.device)
    states = job.run(STEPS, arrays)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            job.run(STEPS, arrays, states)
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = ProfileData.from_file(str(file))
        spent, started = _spent(profile)
    dearest = spent.most_common(MOST_KERNELS)
    return {
        "kernels_in_a_step": sum(started.values()) / STEPS,
        "lines": [f"{plane.name}: {line.name}" for plane in profile.planes for line in plane.lines][:30],
        "step_ms_in_kernels": sum(spent.values()) / STEPS,
        "dearest": {name: [milliseconds / STEPS, started[name] / STEPS] for name, milliseconds in dearest},
    }


def _spent(profile: ProfileData) -> tuple[Counter[str], Counter[str]]:
    """Milliseconds and numbers of kernels, on the streams of the device; of everything, on a CPU."""
    spent: Counter[str] = Counter()
    started: Counter[str] = Counter()
    planes = list(profile.planes)
    of_device = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in of_device or planes:
        for line in plane.lines:
            if of_device and not line.name.startswith("Stream"):
                continue
            for event in line.events:
                kind = re.sub(r"[\d_.]+", "_", event.name)[:100]
                spent[kind] += event.duration_ns / 1e6
                started[kind] += 1
    return spent, started
