"""How fast MLP lanes train as they grow in number: all at once, in turn, some at a time; traced and static counts."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax

from bn_ablate.config import LaneSettings
from gpu_checking import numerics
from gpu_checking.section import Section, set_up_jax
from gpu_checking.training import Grid, Job, compile_all, make_grid, segment

SIZES = {1: (1, 1), 8: (8, 1), 64: (8, 8), 512: (32, 16), 4096: (64, 64)}
"""Lanes, as cells and seeds."""


def settings_of(architecture: str, depth: int, width: int, batch_size: int, **more: Any) -> list[LaneSettings]:
    """Three placements × four activations × dropout rates, as in the main study."""
    base = LaneSettings().at(
        {"architecture": architecture, "depth": depth, "width": width, "batch_size": batch_size, "learning_rate": 0.01}
    )
    base = base.model_copy(update={"model": base.model.model_copy(update=more)})
    axes = {
        "placement": ("pre", "none", "post"),
        "activation": ("relu", "tanh", "gelu", "sigmoid") if depth > 2 else ("relu", "tanh"),
        "dropout_rate": (0.1, 0.0, 0.2, 0.3, 0.5, 0.7) if architecture == "mlp" else (0.0,),
    }
    levels = [dict(zip(axes, level, strict=True)) for level in itertools.product(*axes.values())]
    return [base.at(level) for level in levels]


def run(section: Section) -> None:
    """Compile all side by side, then time one after another."""
    set_up_jax(section.platform, section.folder / "programs")
    settings = settings_of("mlp", *((2, 8) if section.tiny else (3, 128)), 128)
    room = 8 if section.tiny else 100
    sizes = {n: size for n, size in SIZES.items() if n <= (8 if section.tiny else 4096)}
    platform = jax.devices()[0].platform
    grids = {
        n: make_grid(settings, (8, 8, 1), cells=cells, seeds=seeds, room=room, platform=platform)
        for n, (cells, seeds) in sizes.items()
    }
    some, many = (8, 8) if section.tiny else (64, 512)
    program = grids[1].program
    jobs = {f"vmap, {n} lanes": Job(grid, segment(program, "vmap")) for n, grid in grids.items()}
    jobs["vmap, 1 lanes, static count"] = Job(grids[1], segment(program, "vmap", steps=room))
    jobs["map, 8 lanes"] = Job(grids[8], segment(program, "map"))
    for n, at_once in sorted({(some, 8), (some, some), (many, some)}):
        jobs[f"map, {at_once} at once, {n} lanes"] = Job(
            _regrouped(settings, grids[n]), segment(program, "map", at_once)
        )
    coarse = grids[many].at("tensorfloat32")
    jobs[f"vmap, {many} lanes, tensorfloat32"] = Job(coarse, segment(coarse.program, "vmap"))
    section.report("compiled in", compile_all(jobs))
    for title, job in jobs.items():
        section.attempt(title, job.rate)
    section.attempt("bits in another process", partial(_bits, section.tiny))


def _regrouped(settings: list[LaneSettings], grid: Grid) -> Grid:
    """The same number of lanes, as cells of one seed: only cells go some at a time."""
    lanes = grid.lanes
    platform = jax.devices()[0].platform
    return make_grid(settings, (8, 8, 1), cells=lanes, seeds=1, room=grid.room, platform=platform)


def _bits(tiny: bool) -> dict[str, str]:
    """Of the grids that `numerics` trained too, in its own process."""
    found = {}
    for name in ("mlp", "cnn"):
        grid = numerics.grid_of(name, tiny)
        job = Job(grid, segment(grid.program, "vmap"))
        job.compile(job.lower())
        found[name] = numerics.fingerprint(job.run(numerics.STEPS))
    return found
