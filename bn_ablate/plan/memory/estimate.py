"""How much memory a plan takes, before it runs, and how many lanes fit into a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bn_ablate.config.architectures import Extent
from bn_ablate.config.lane import LaneSettings
from bn_ablate.plan import Plan
from bn_ablate.plan.memory.host import cores, memory_bytes

FLOAT, BITS = 4, 2
PROGRAM_BYTES = 600 * 2**20
"""What the process takes before there is any lane: Python, JAX, the compiler and what it made."""

COMPILER_BYTES = 512 * 2**20
"""What compiling the programs of a group takes while another one trains."""

STATE_COPIES = 3
"""How often the states of a shard exist at its peak: as they are made, placed on the devices, and after a segment."""

ARRAYS_HELD, ARRAYS_HELD_ON_GPU = 14, 9
"""Arrays as large as a block's output that a lane at work holds for each block, forward and backward; measured.

XLA fuses more for a GPU and holds less: temporary memory on an NVIDIA H200 was 3.8 to 4.7 such arrays for perceptrons,
4.3 to 7.2 for a convolutional network, and 8.6 for it with products of patches (`docs/benchmarks.md`). 9 is above them
all; residual networks were not measured.
"""

LANDSCAPE_COPIES = 3
"""States that a lane at work holds to look along its gradient: the gradient, where it leads, and the gradient there."""

BLOCK_BYTES = 32 * 2**20
"""What the batches and random bits that are made ahead for one seed may take."""

AHEAD_COPIES = {"map": 1, "vmap": 4}
"""How often these exist at the peak: gathered, standardized, drawn, put together; for a seed at a time, or for all."""

READ_COPIES = 4
"""How often a block of streamed examples exists at the peak: read and placed on a device, in use and the one after."""

DRAWING_BYTES, SEED_BYTES = 48, 16
"""Bytes of an example, whatever its size: while a seed's split is drawn; and for each seed in its split and passes."""

MOST_OF_DATA = 0.5
"""The share of what a run may take that a whole data set may take; a larger one is streamed."""

SHARE = 0.5
"""The share of the machine's memory that a run takes by default."""

MOST_LANES = 256
"""Lanes in a shard, at most, lane by lane: more are no faster, and finished work is to be stored every now and then."""

DIGITS = Extent((8, 8, 1), 10, 1797)
"""The smallest data set."""


class Division(NamedTuple):
    """How lanes are divided over devices.

    Attributes:
        axis: what is divided.
        devices: those in use.
        seeds, cells: how many there are with those that fill up the last device's share.
        at_once: lanes of a seed that go through a step together on a device, for `map`.
    """

    axis: Literal["seeds", "cells"]
    devices: int
    seeds: int
    cells: int
    at_once: int


@dataclass(frozen=True)
class Machine:
    """What a run has at its disposal.

    Attributes:
        strategy: `vmap` or `map`.
        devices: how many devices the lanes are divided over.
        budget: bytes that the run may take, on all of them.
        at_once: lanes that go through a step together on a device, for `map`.
        platform: of the devices, as JAX calls it.
    """

    strategy: Literal["vmap", "map"]
    devices: int
    budget: int
    at_once: int = 1
    platform: str = "cpu"

    @classmethod
    def here(
        cls, strategy: Literal["auto", "vmap", "map"] = "auto", at_once: int | None = None, memory: int | None = None
    ) -> Machine:
        """This machine's CPU, each core a device: what `engine.machine` finds there once JAX has been started."""
        return cls(
            "map" if strategy == "auto" else strategy, cores(), memory or int(SHARE * memory_bytes()), at_once or 1
        )

    @property
    def together(self) -> bool:
        """Whether lanes go through a step together: then their bits depend on how many they are."""
        return self.strategy == "vmap" or self.at_once > 1

    def divide(self, seeds: int, cells: int) -> Division:
        """Divide seeds or cells, whichever leaves fewer devices idle; cells fill whole batches of `at_once`."""
        at_once = min(self.at_once, cells) if self.strategy == "map" else 1
        use = min(self.devices, max(seeds, -(-cells // at_once)))

        def padded(n: int, to: int) -> int:
            return -(-n // to) * to

        by_seeds = Division("seeds", use, padded(seeds, use), padded(cells, at_once), at_once)
        by_cells = Division("cells", use, seeds, padded(cells, use * at_once), at_once)
        return min(by_seeds, by_cells, key=lambda division: division.seeds * division.cells)


def lane_bytes(settings: LaneSettings, extent: Extent = DIGITS) -> int:
    """The state of one lane: parameters, their average, moving statistics, and the optimizer's moments."""
    parameters, statistics = _sizes(settings, extent)
    momentum = bool(settings.train.momentum)
    kept = {"sgd": momentum, "adam": 2, "adamw": 2, "rmsprop": 1 + momentum}
    moments = kept.get(settings.train.optimizer, 2)  # one of a user's own is taken to keep two
    averages = settings.train.average != "none"
    return FLOAT * (parameters * (1 + moments + averages) + statistics)


def weights_bytes(settings: LaneSettings, extent: Extent = DIGITS) -> int:
    """What is kept of one lane at a moment: parameters and moving statistics."""
    return FLOAT * sum(_sizes(settings, extent))


def _sizes(settings: LaneSettings, extent: Extent) -> tuple[int, int]:
    """How many parameters and moving statistics a lane has."""
    layout = settings.model.layout(extent.image, extent.classes)
    channels = sum(layer.output[-1] for layer in layout.layers)
    return sum(layer.kernel for layer in layout.layers) + 3 * channels + layout.head, 2 * channels


def shard_bytes(settings: LaneSettings, lanes: int, seeds: int, machine: Machine, extent: Extent = DIGITS) -> int:
    """The peak of a shard of `lanes` lanes: their states, what those at work at the same time hold, and the data.

    A lane at work holds, for every example of the batch or of the probe, some arrays for each block. Every device has
    the data, and every seed its split of them. The constants are fitted to measured peaks, and `make bench` holds them
    to others.
    """
    divided = machine.divide(seeds, -(-lanes // seeds))
    lanes = divided.seeds * divided.cells
    if machine.strategy == "vmap":
        at_work = lanes
        seeds_at_work = divided.seeds * (divided.devices if divided.axis == "cells" else 1)
    else:
        at_work, seeds_at_work = divided.devices * divided.at_once, divided.devices
    pixels = math.prod(extent.image)
    outputs = [math.prod(layer.output) for layer in settings.model.layout(extent.image, extent.classes).layers]
    arrays = ARRAYS_HELD_ON_GPU if machine.platform == "gpu" else ARRAYS_HELD
    held = FLOAT * (arrays * sum(outputs) + 2 * pixels)
    widest = FLOAT * 4 * max(pixels, *outputs)
    probe = min(settings.measure.probe, settings.data.n_train or settings.measure.probe)
    batch = max(settings.train.batch_size, probe)
    working = max(batch * held, settings.measure.eval_batch * widest)
    a_step = settings.train.batch_size * (FLOAT * pixels + BITS * sum(outputs))
    ahead = AHEAD_COPIES[machine.strategy] * min(max(BLOCK_BYTES, a_step), a_step * settings.measure.every)
    state = lane_bytes(settings, extent)
    along = LANDSCAPE_COPIES * state if "landscape" in settings.measure.also else 0
    of_seeds = (SEED_BYTES + FLOAT * (settings.data.random_labels > 0)) * divided.seeds
    indices = extent.examples * (DRAWING_BYTES + of_seeds)
    if streams(extent, machine):
        images = pixels * extent.itemsize
        room = min(max(1, BLOCK_BYTES // (settings.train.batch_size * pixels * FLOAT)), settings.measure.every)
        block = max(divided.seeds * room * settings.train.batch_size * images, BLOCK_BYTES)
        block = max(block, divided.seeds * 2 * settings.measure.eval_batch * images)
        data = READ_COPIES * block + indices
    else:
        data = resident_bytes(extent, divided.devices) + indices
    return STATE_COPIES * lanes * state + at_work * (working + along) + seeds_at_work * ahead + data


def resident_bytes(extent: Extent, devices: int) -> int:
    """What the images of a whole data set take: on the host, and on each device."""
    return extent.examples * math.prod(extent.image) * extent.itemsize * (1 + devices)


def streams(extent: Extent, machine: Machine) -> bool:
    """Whether examples are read in blocks as they are needed, since all of them would take too much of the memory."""
    return resident_bytes(extent, machine.devices) > MOST_OF_DATA * machine.budget


def lanes_that_fit(settings: LaneSettings, seeds: int, machine: Machine, extent: Extent = DIGITS) -> int:
    """How many lanes a shard may have within the budget: cells at all `seeds`, or one at some, at least one lane."""

    def peak(cells: int, seeds: int) -> int:
        return PROGRAM_BYTES + shard_bytes(settings, cells * seeds, seeds, machine, extent)

    most = MOST_LANES if machine.strategy == "map" else 2**20
    if seeds <= most and peak(1, seeds) <= machine.budget:
        return seeds * _largest(most // seeds, lambda cells: peak(cells, seeds) <= machine.budget)
    return _largest(min(seeds, most), lambda some: peak(1, some) <= machine.budget)


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits, where all below it do; 1 if none does."""
    fitting = 1
    while fitting < most and fits(fitting * 2):
        fitting *= 2
    low, high = fitting, max(fitting, min(most, fitting * 2))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def shard_shape(cells: int, seeds: int, most: int) -> tuple[int, int]:
    """Cells and seeds of near-equal shards of at most `most` lanes: whole sets of seeds, or else one cell at some."""
    most = max(1, most)
    blocks, parts = -(-cells // max(1, most // seeds)), -(-seeds // min(most, seeds))
    return -(-cells // blocks), -(-seeds // parts)


def estimate_bytes(plan: Plan, machine: Machine, extent: Extent = DIGITS) -> int:
    """The peak of a run of `plan` on such images: the process, and the largest shard."""
    shapes = _shapes(plan, machine, extent)
    peaks = (shard_bytes(settings, cells * seeds, seeds, machine, extent) for settings, _, (cells, seeds) in shapes)
    return PROGRAM_BYTES + max(peaks, default=0)


def count_shards(plan: Plan, machine: Machine, extent: Extent = DIGITS) -> int:
    """How many shards a run of `plan` on such images has."""
    blocks = ((-(-n // cells), -(-len(plan.seeds) // seeds)) for _, n, (cells, seeds) in _shapes(plan, machine, extent))
    return sum(of_cells * of_seeds for of_cells, of_seeds in blocks)


def _shapes(plan: Plan, machine: Machine, extent: Extent) -> Iterator[tuple[LaneSettings, int, tuple[int, int]]]:
    """By group its settings, its cells, and the cells and seeds of one of its shards."""
    whole = plan.whole if plan.whole and machine.together else plan
    seeds = len(whole.seeds)
    for group in plan.groups:
        fitting = lanes_that_fit(group.settings, seeds, machine, extent)
        shape = shard_shape(len(group.cells if whole is plan else group.kin), seeds, fitting)
        yield group.settings, len(group.cells), shape
