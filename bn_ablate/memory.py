"""How much memory a plan takes, before it runs, and how many lanes fit into a budget."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import NamedTuple

from bn_ablate.config.lane import LaneSettings
from bn_ablate.config.names import residual_blocks
from bn_ablate.plan import Plan

FLOAT, BITS = 4, 2
PROGRAM_BYTES = 600 * 2**20
"""What the process takes before there is any lane: Python, JAX, the compiler and what it made."""

STATE_COPIES = 3
"""How often the states of a shard exist at its peak: as they are made, placed on the devices, and after a segment."""

ARRAYS_HELD = 14
"""Arrays as large as a block's output that a lane at work holds for each block, forward and backward; measured."""

LANDSCAPE_COPIES = 3
"""States that a lane at work holds to look along its gradient: the gradient, where it leads, and the gradient there."""

BLOCK_BYTES = 32 * 2**20
"""What the batches and random bits that are made ahead for one seed may take."""

SHARE = 0.5
"""The share of the machine's memory that a run takes when it is not told otherwise."""

MOST_LANES = 256
"""Lanes in a shard, at most, lane by lane: more are no faster, and finished work is to be stored every now and then."""


class Layer(NamedTuple):
    """One linear map: elements of its kernel, elements of its output for one example, and its channels."""

    kernel: int
    output: int
    channels: int


@dataclass(frozen=True)
class Machine:
    """What a run has at its disposal.

    Attributes:
        strategy: `vmap` or `map`.
        devices: how many devices the lanes are divided over.
        budget: bytes that the run may take.
        at_once: lanes that go through a step together on a device, for `map`.
    """

    strategy: str
    devices: int
    budget: int
    at_once: int = 1

    @classmethod
    def here(cls, budget: int | None = None) -> Machine:
        """This machine's CPU: its cores, and a share of its memory."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls("map", len(os.sched_getaffinity(0)), budget or int(SHARE * memory))


def layers_of(settings: LaneSettings, image: tuple[int, ...], classes: int) -> list[Layer]:
    """The linear maps of the network, the last being that to the logits."""
    height, wide, channels = image
    width, depth = settings.model.width, settings.model.depth
    layers = []
    if settings.model.architecture == "cnn":
        out = width
        for i in range(depth - 1):
            places = height * wide
            layers.append(Layer(9 * channels * out, places * out, out))
            channels = out
            if i % 2 == 1 and min(height, wide) >= 2:
                height, wide, out = height // 2, wide // 2, 2 * out
        features, widths = height * wide * channels, [4 * width]
    elif settings.model.architecture == "resnet":
        for stage, stride in residual_blocks(depth):
            height, wide, out = -(-height // stride), -(-wide // stride), width * 2**stage
            layers.append(Layer(9 * channels * out, height * wide * out, out))
            channels = out
        features, widths = channels, []
    else:
        features, widths = height * wide * channels, [width] * depth
    for units in [*widths, classes]:
        layers.append(Layer(features * units, units, units))
        features = units
    return layers


def lane_bytes(settings: LaneSettings, image: tuple[int, ...] = (8, 8, 1), classes: int = 10) -> int:
    """The state of one lane: parameters, moving statistics, and the optimizer's moments."""
    *blocks, head = layers_of(settings, image, classes)
    channels = sum(layer.channels for layer in blocks)
    parameters = sum(layer.kernel for layer in (*blocks, head)) + 3 * channels + classes
    momentum = bool(settings.train.momentum)
    moments = {"sgd": momentum, "adam": 2, "adamw": 2, "rmsprop": 1 + momentum}[settings.train.optimizer]
    return FLOAT * (parameters * (1 + moments) + 2 * channels)


def shard_bytes(
    settings: LaneSettings,
    lanes: int,
    seeds: int,
    machine: Machine,
    image: tuple[int, ...] = (8, 8, 1),
    classes: int = 10,
) -> int:
    """The peak of a shard of `lanes` lanes: their states, and what those at work at the same time hold.

    A lane at work holds, for every example of the batch or of the probe, some arrays for each block. The constants are
    fitted to measured peaks, and `make bench` holds them to others.
    """
    together = machine.strategy == "vmap"
    at_work = lanes if together else min(machine.devices * machine.at_once, lanes)
    seeds_at_work = seeds if together else min(machine.devices, seeds)
    blocks = layers_of(settings, image, classes)[:-1]
    held = FLOAT * ARRAYS_HELD * sum(layer.output for layer in blocks)
    widest = FLOAT * 4 * max(layer.output for layer in blocks)
    probe = min(settings.measure.probe, settings.data.n_train or settings.measure.probe)
    examples = max(settings.train.batch_size, probe)
    working = max(examples * held, settings.measure.eval_batch * widest)
    a_step = settings.train.batch_size * (FLOAT * math.prod(image) + BITS * sum(layer.output for layer in blocks))
    ahead = min(max(BLOCK_BYTES, a_step), a_step * settings.measure.every)
    state = lane_bytes(settings, image, classes)
    along = LANDSCAPE_COPIES * state if "landscape" in settings.measure.also else 0
    return STATE_COPIES * lanes * state + at_work * (working + along) + seeds_at_work * ahead


def lanes_that_fit(
    settings: LaneSettings, seeds: int, machine: Machine, image: tuple[int, ...] = (8, 8, 1), classes: int = 10
) -> int:
    """How many lanes a shard may have within the budget: a multiple of `seeds`, and at least `seeds`."""

    def peak(cells: int) -> int:
        return PROGRAM_BYTES + shard_bytes(settings, cells * seeds, seeds, machine, image, classes)

    most = max(1, MOST_LANES // seeds) if machine.strategy == "map" else 2**20
    fitting = 1
    while fitting < most and peak(fitting * 2) <= machine.budget:
        fitting *= 2
    low, high = fitting, min(most, fitting * 2)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if peak(middle) <= machine.budget else (low, middle - 1)
    return seeds * low


def estimate_bytes(plan: Plan, machine: Machine | None = None) -> int:
    """The peak of a run of `plan` on 8×8 images: the process, and the largest shard."""
    machine = machine or Machine.here()
    seeds = len(plan.seeds)
    most = 0
    for group in plan.groups:
        lanes = min(len(group.cells) * seeds, lanes_that_fit(group.settings, seeds, machine))
        most = max(most, shard_bytes(group.settings, lanes, seeds, machine))
    return PROGRAM_BYTES + most
