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
    """One network after the other; of each, all programs side by side, then the timings."""
    set_up_jax(section)
    for architecture in ("cnn", "resnet"):
        _network(section, architecture)


def _network(section: Section, architecture: str) -> None:
    title, depth, width = NETWORKS[architecture]
    if section.tiny:
        depth, width = (3 if architecture == "resnet" else 2), 4
    batch, room = (8, 2) if section.tiny else (128, 16)
    wanted = [
        ("native", "vmap", 1),
        ("native", "vmap", 8),
        ("matmul, whole", "vmap", 1),
        ("matmul, whole", "vmap", 8),
        ("native", "map", 8),
        ("native", "vmap", 64),
        ("matmul, whole", "vmap", 64),
    ]
    if architecture == "cnn":
        wanted += [("matmul, in chunks", "vmap", 8), ("native", "vmap", 256), ("matmul, whole", "vmap", 256)]
    if section.tiny:
        wanted = [wanted[0], wanted[3]]
    jobs = {}
    for form, strategy, lanes in wanted:
        settings = settings_of(architecture, depth, width, batch, convolution=form.partition(",")[0])
        cells, seeds = SIZES[lanes]
        grid = make_grid(settings, IMAGE, cells=cells, seeds=seeds, room=room, platform=jax.devices()[0].platform)
        step = segment(grid.program, strategy)  # type: ignore[arg-type]
        jobs[f"{title}, {form}, {strategy}, {lanes} lanes"] = Job(grid, step)
    chunks = {name: job for name, job in jobs.items() if "chunks" in name}
    with patch.object(convolution, "CACHED", WHOLE):
        whole = compile_all({name: job for name, job in jobs.items() if name not in chunks})
    section.report(f"{title}, compiled in", whole + compile_all(chunks))
    for name, job in jobs.items():
        section.attempt(name, partial(job.rate, 1.0), 4)
