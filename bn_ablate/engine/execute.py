"""The host's side of training: shards in, outcomes out, in segments that let the caller follow along."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from bn_ablate.config.names import Kept
from bn_ablate.config.training_keys import Data
from bn_ablate.data import Dataset, Split, draw_splits, moments, with_random_labels
from bn_ablate.engine.devices import machine
from bn_ablate.engine.examples import SeedExamples
from bn_ablate.engine.feed import Ahead, Feed, Resident, Streamed
from bn_ablate.engine.kept import Keeping
from bn_ablate.engine.lanewise import Strategy
from bn_ablate.engine.many_lanes import Layout, Segment
from bn_ablate.engine.measuring import Measuring
from bn_ablate.engine.observe import Observation
from bn_ablate.engine.outcome import Outcome, Progress, Timing, measured_steps
from bn_ablate.engine.pace import Pace
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.programs import Programs, Wanted, ahead
from bn_ablate.engine.resume import Keeper, Snapshot, pack, program_key, unpack
from bn_ablate.engine.shards import Shard, Way
from bn_ablate.engine.stretches import Stretches, batches_of
from bn_ablate.engine.train import TrainState
from bn_ablate.nn import stack_factors
from bn_ablate.plan import Cell
from bn_ablate.plan.memory import BLOCK_BYTES, Machine, streams

SECONDS_BETWEEN = 0.25
"""How often whoever wants to stop is asked while a program is waited for."""


@dataclass
class Engine:
    """Trains shards on one data set; all engines of a process share their compiled programs.

    Attributes:
        dataset: the examples.
        strategy: `vmap` (all lanes at once), `map` (in turn on each device), or `auto`: `map` on CPU, else `vmap`.
        devices: those to use; all local ones when not given.
        at_once: lanes that go through a step together on a device, for `map`.
        streamed: whether programs are given the examples in blocks, for each call its own, where the whole set would
            take too much of the devices' memory; not when not given, if it does not take more than half of a run's.
        timing: filled as it runs.
        between: called every now and then while a program is waited for, when nothing trained is unsaved; what it
            raises ends the training.
    """

    dataset: Dataset
    strategy: Strategy | Literal["auto"] = "auto"
    devices: list[jax.Device] | None = None
    at_once: int = 1
    streamed: bool | None = None
    timing: Timing = field(default_factory=Timing)
    between: Callable[[], None] = lambda: None
    _program: tuple[tuple[Cell, ...], Program | None] = field(default=((), None), repr=False)
    _itself: object = field(default_factory=object, repr=False)
    _used: set[Future[jax.stages.Compiled]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self.devices = self.devices or jax.local_devices()
        self.strategy = self.machine(0).strategy
        if self.streamed is None:
            self.streamed = streams(self.dataset.extent, self.machine())
        self._placed: dict[Any, Resident] = {}
        self._moments: dict[tuple[Data, int], tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def on(cls, machine: Machine, dataset: Dataset) -> Engine:
        """The engine that trains on `dataset` what was planned for `machine`, on all local devices."""
        in_blocks = streams(dataset.extent, machine)
        return cls(dataset, machine.strategy, at_once=machine.at_once, streamed=in_blocks)

    @property
    def way(self) -> Way:
        """How this engine trains what does not say it itself."""
        assert self.devices is not None
        assert self.strategy != "auto"
        return Way(self.strategy, self.at_once, len(self.devices))

    def program(self, shard: Shard) -> Program:
        """The program that trains `shard`: that of its whole group."""
        assert self.devices is not None
        if shard.program:
            return shard.program
        group, known = self._program
        if known is None or group is not shard.group:  # a group may have thousands of cells, and as many shards
            settings, shape = [cell.settings for cell in shard.group], self.dataset.images.shape[1:]
            known = program_of(settings, shape, self.dataset.n_classes, self.devices[0].platform)
            self._program = shard.group, known
        return known

    def machine(self, budget: int | None = None) -> Machine:
        """What this engine has at its disposal; without a `budget`, a share of the memory."""
        return machine(self.strategy, self.at_once, budget, self.devices)

    def alone(self, cell: Cell, seed: int) -> Wanted:
        """The programs that train one lane by itself, with what they are given.

        Raises:
            DataError: the data set cannot be divided as the settings say.
        """
        return self._wanted(Shard((cell,), (cell,), (seed,), 1))[0]

    def run(
        self,
        shard: Shard,
        on_progress: Callable[[Progress], None] | None = None,
        *,
        keeper: Keeper | None = None,
        keep_states: bool = False,
        keep: tuple[Kept, ...] = (),
        following: Shard | None = None,
    ) -> Outcome:
        """Train the lanes of `shard` to the end, calling `on_progress` about once a second.

        Resumes what `keeper` has of the shard, and gives it the state when that is due, and when `on_progress`
        raises, which ends the training. The outcome is the same to the bit, however often it was resumed.
        `keep` says which weights the outcome is to have.
        The programs of the `following` shard are compiled meanwhile.

        Raises:
            DataError: the data set cannot be divided as the settings say.
        """
        wanted, seed_numbers = self._wanted(shard)
        program, layout, seeds, factors = wanted.program, wanted.layout, wanted.seeds, wanted.factors
        steps = measured_steps(program.train.steps, program.measure.every)
        room = wanted.segment.indices.shape[1] - program.structure.others
        whole = (slice(len(shard.seeds)), slice(len(shard.cells)))
        programs = self._compiled(wanted)
        measuring = Measuring(wanted, programs, self._ready)
        states = self._ready(programs.begin)(wanted.examples, seeds, factors, wanted.first)
        at, seen = 0, list[Observation]()
        keeping = Keeping(keep, steps[-1])
        key = program_key(program, wanted.strategy, layout, shard, keep)
        if keeper and (saved := keeper.load(key)):
            keeping.unpack(saved, states)
            at, states, seen = unpack(saved, states, self._ready(programs.measure).out_tree)
        lanes = len(shard.seeds) * len(shard.cells)
        self.timing.resumed += at * lanes
        begun, waited = time.perf_counter(), self.timing.compile_seconds

        def seconds() -> float:
            return time.perf_counter() - begun - (self.timing.compile_seconds - waited)

        done = 0
        since = at - steps[max(len(seen) - 1, 0)]
        with Ahead() as reading:
            stretches = Stretches(wanted.feed, reading, program, wanted.split, seed_numbers, room, steps)

            def trained(states: TrainState, start: int, n_steps: int, measured: bool) -> TrainState:
                examples, indices = stretches.at(start)
                segment = Segment(indices, np.int32(start), np.int32(n_steps), np.bool_(measured))  # type: ignore[arg-type]
                after: TrainState = self._ready(programs.train)(examples, seeds, factors, states, segment)
                return after

            try:
                for start, n_steps, observed in self._segments(steps, room, at, len(seen)):
                    if observed:
                        observation, of_average = measuring.measure(states, start in (0, steps[-1]))
                        if keep:  # before training takes over the memory that the states are in
                            on_validation = np.asarray(observation.loss)[whole][..., 1]
                            keeping.look(start, on_validation, states, whole, of_average)
                    if n_steps:
                        states = trained(states, start, n_steps, observed)
                    if following:
                        ahead(partial(self._prepare, following))
                        following = None
                    jax.block_until_ready(states)
                    if observed:
                        seen.append(jax.tree.map(lambda leaf: np.asarray(leaf)[whole], observation))
                    done += n_steps * lanes
                    since = n_steps if observed else since + n_steps
                    here = Snapshot(start + n_steps, states, seen)
                    if keeper and keeper.due():
                        keeper.save(key, pack(here) | keeping.pack())
                    if on_progress:
                        loss = np.asarray(states.loss_sum)[whole] / since if since else None
                        diverged = int((np.asarray(states.diverged_at)[whole] >= 0).sum())
                        try:
                            on_progress(Progress(done, seconds(), diverged, loss))
                        except BaseException:
                            if keeper:
                                keeper.save(key, pack(here) | keeping.pack())
                            raise
            finally:
                self.timing.train_seconds += seconds()
                self.timing.lane_steps += done
        return Outcome(
            shard,
            steps,
            jax.tree.map(lambda *leaves: np.stack(leaves), *seen),
            np.asarray(states.diverged_at)[whole],
            self._commonest(wanted)[: len(shard.seeds)],
            jax.tree.map(lambda leaf: leaf[whole], states) if keep_states else None,
            keeping.weights,
            (np.asarray(seeds.mean), np.asarray(seeds.std)),
        )

    def _segments(
        self, steps: tuple[int, ...], room: int, begin: int = 0, seen: int = 0
    ) -> Iterator[tuple[int, int, bool]]:
        """(start, steps to take, whether to measure first); calls last about a second, which changes no number.

        From step `begin` on, of which the first `seen` measurements were taken already; within a stretch of batches.
        """
        pace = Pace(room)
        for i in range(max(seen - 1, 0), len(steps)):
            at, observed, stop = max(begin, steps[i]), i >= seen, steps[min(i + 1, len(steps) - 1)]
            while at < stop or observed:
                n_steps = min(pace.size, stop - at, room - (at - steps[i]) % room)
                begun = time.perf_counter()
                yield at, n_steps, observed
                seconds = time.perf_counter() - begun
                if n_steps and not observed:
                    pace.took(n_steps, seconds)
                at, observed = at + n_steps, False

    def _commonest(self, wanted: Wanted) -> np.ndarray:
        """(seeds,): the share of the commonest label among the training examples."""
        train, labels = wanted.split.train, wanted.labels
        rows = self.dataset.labels[train] if labels is None else np.take_along_axis(labels, train, 1)
        return np.asarray([np.bincount(row).max() / len(row) for row in rows])

    def _layout(self, way: Way, n_seeds: int, n_cells: int) -> Layout:
        """How lanes that are trained `way` are divided over the devices."""
        assert self.devices is not None
        machine = Machine(way.strategy, min(len(self.devices), way.devices), 0, way.at_once)
        divided = machine.divide(n_seeds, n_cells)
        devices, auto = self.devices[: divided.devices], (jax.sharding.AxisType.Auto,)
        mesh = jax.make_mesh((divided.devices,), ("lanes",), devices=devices, axis_types=auto)
        return Layout(mesh, divided.axis, divided.seeds, divided.cells, divided.at_once, bool(self.streamed))

    def _moments_of(self, data: Data, split: Split, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Of each seed the mean and standard deviation of its training images, which are read once."""
        for i, seed in enumerate(seeds):
            if (data, seed) not in self._moments:
                self._moments[data, seed] = moments(self.dataset, data, Split(*(part[i] for part in split)))
        mean, std = zip(*(self._moments[data, seed] for seed in seeds), strict=True)
        return np.stack(mean), np.stack(std)

    def _feed(self, layout: Layout, labels: np.ndarray | None) -> Feed:
        if self.streamed:
            return Streamed(self.dataset, labels, layout)
        devices = tuple(layout.mesh.devices.flat)
        if devices not in self._placed:
            self._placed[devices] = Resident.on(self.dataset, layout)
        return self._placed[devices]

    def _room(self, program: Program) -> int:
        """How many steps a call may take, at most: what is made ahead for them must stay small."""
        noise = 2 * sum(math.prod(shape) for shape in program.noise_shapes) if program.drops else 0
        noise += len(program.noises) * sum(8 * program.train.batch_size * channels for _, channels in program.channels)
        images = 4 * program.train.batch_size * math.prod(program.image_shape)
        return max(1, min(program.measure.every, program.train.steps, BLOCK_BYTES // (noise + images)))

    def _wanted(self, shard: Shard) -> tuple[Wanted, list[int]]:
        """The programs for `shard`, and its seeds with those that fill up the layout."""
        program, way = self.program(shard), shard.way or self.way
        layout = self._layout(way, max(len(shard.seeds), shard.seed_room), shard.room)
        seed_numbers = _fill(list(shard.seeds), layout.seeds)
        settings = _fill([cell.settings for cell in shard.cells], layout.cells)
        factors, data = stack_factors(settings, program.structure), settings[0].data
        split = draw_splits(self.dataset, data, seed_numbers)
        labels = None
        if data.random_labels:
            parts = [Split(*some) for some in zip(*split, strict=True)]
            drawn = zip(parts, seed_numbers, strict=True)
            labels = np.stack([with_random_labels(self.dataset, data, part, seed) for part, seed in drawn])
        mean, std = self._moments_of(data, split, seed_numbers)
        given = (mean, std, np.asarray(seed_numbers, np.int32), None if self.streamed else labels)
        feed = self._feed(layout, labels)
        examples, indices = feed.give(batches_of(program, split, seed_numbers, 0, self._room(program)))
        segment = Segment(indices, np.int32(0), np.int32(0), np.bool_(False))  # type: ignore[arg-type]
        return Wanted(
            program=program,
            strategy=way.strategy,
            layout=layout,
            feed=feed,
            split=split,
            labels=labels,
            seeds=SeedExamples(*given),  # type: ignore[arg-type]
            factors=factors,
            examples=examples,
            segment=segment,
            engine=self._itself,
        ), seed_numbers

    def _prepare(self, shard: Shard) -> None:
        """Have the programs for `shard` compiled."""
        self._wanted(shard)[0].programs()

    def _compiled(self, wanted: Wanted) -> Programs:
        """The programs, of which some may still be compiling."""
        begun = time.perf_counter()
        programs = wanted.programs()
        self.timing.compile_seconds += time.perf_counter() - begun
        self._used.add(programs.train)
        self.timing.programs = len(self._used)
        return programs

    def _ready(self, program: Future[jax.stages.Compiled]) -> jax.stages.Compiled:
        """The compiled program, which is waited for."""
        begun = time.perf_counter()
        try:
            while not wait([program], SECONDS_BETWEEN).done:
                self.between()
            return program.result()
        finally:
            self.timing.compile_seconds += time.perf_counter() - begun


def _fill(items: list[Any], n: int) -> list[Any]:
    """`items`, with the last one repeated until there are `n`."""
    return items + items[-1:] * (n - len(items))
