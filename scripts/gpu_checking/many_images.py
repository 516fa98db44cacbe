"""How fast convolutional lanes train on 32×32×3 images: XLA's own convolution against products, 1 lane to many."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

import jax

from bn_ablate.nn import convolution
from gpu_checking.many_lanes import settings_of
from gpu_checking.section import Section, set_up_jax
from gpu_checking.training import Job, compile_all, make_grid, segment

IMAGE = (32, 32, 3)
NETWORKS = {"cnn": ("CNN 5×16", 5, 16), "resnet": ("ResNet-20", 19, 16)}
SIZES = {1: (1, 1), 8: (8, 1), 64: (8, 8), 256: (16, 16)}
WHOLE = 2**62
"""For `convolution.CACHED`: the patches of all images in one product, where there is no core's cache to stay in."""


def run(section: Section) -> None:
    """Of a network, all programs side by side, then the timings."""
    set_up_jax(section.platform, section.folder / "programs")
    for architecture in section.networks:
        _network(section, architecture)


def _network(section: Section, architecture: str) -> None:
    title, depth, width = NETWORKS[architecture]
    if section.tiny:
        depth, width = (3 if architecture == "resnet" else 2), 4
    batch, room = (8, 2) if section.tiny else (128, 16)
    wanted = [
        ("native", "vmap", 1, "float32"),
        ("native", "vmap", 8, "float32"),
        ("matmul", "vmap", 8, "float32"),
        ("native", "map", 8, "float32"),
        ("native", "vmap", 64, "float32"),
        ("native", "vmap", 64, "tensorfloat32"),
    ]
    if architecture == "cnn":
        wanted += [("native", "vmap", 256, "float32")]
    if section.tiny:
        wanted = wanted[1:3]
    jobs = {}
    for form, strategy, lanes, precision in wanted:
        settings = settings_of(architecture, depth, width, batch, convolution=form)
        cells, seeds = SIZES[lanes]
        grid = make_grid(settings, IMAGE, cells=cells, seeds=seeds, room=room, platform=jax.devices()[0].platform)
        grid = grid.at(precision)
        step = segment(grid.program, strategy)  # type: ignore[arg-type]
        jobs[f"{title}, {form}, {strategy}, {lanes} lanes, {precision}"] = Job(grid, step)
    with patch.object(convolution, "CACHED", WHOLE):
        section.report(f"{title}, compiled in", compile_all(jobs))
    for name, job in jobs.items():
        section.attempt(name, partial(job.rate, 1.0), 4)
