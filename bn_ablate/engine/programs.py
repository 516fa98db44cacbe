"""The compiled programs of a group's lanes: made once, and kept for all engines of this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.stages import Compiled, Lowered

from bn_ablate.config.extensions import LOADED
from bn_ablate.config.training_keys import Measure
from bn_ablate.data import Split
from bn_ablate.engine.compiling import compiler_options, hastily
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.executables import Executable
from bn_ablate.engine.extras import views_of
from bn_ablate.engine.feed import Feed
from bn_ablate.engine.lanewise import Strategy
from bn_ablate.engine.many_lanes import (
    Block,
    Layout,
    Segment,
    initial_on_mesh,
    looking_on_mesh,
    measuring_on_mesh,
    settling_on_mesh,
    training_on_mesh,
)
from bn_ablate.engine.passes import Chosen, Passes, chosen
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import TrainState
from bn_ablate.engine.views import RECALIBRATED, VIEWS, Look, blank, passes_of
from bn_ablate.nn import Factors

MOST_KEPT = 48
"""Compiled programs that this process keeps, those that were used last."""

NUMBERS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable")
"""Options of JAX that make other programs of the same functions."""


class Programs(NamedTuple):
    """What trains and measures some lanes; each is waited for when it is first needed.

    Attributes:
        begin: (examples, seeds, factors, where each seed's first batch is) to the states before training.
        train: (examples, seeds, factors, states, segment) to the states after it; it takes the place of those given.
        measure: (examples, seeds, factors, states, chosen, seen, thorough) to what is observed.
        looks: by name, (examples, seeds, factors, steps, parameters, statistics, block, so far) to what was seen so
            far with what the block has shown, which takes its place.
        settle: (factors, statistics, what arrives, means, variances) to recalibrated statistics, if any are.
    """

    begin: Future[Compiled]
    train: Future[Compiled]
    measure: Future[Compiled]
    looks: dict[Look, Future[Compiled]]
    settle: Future[Compiled] | None


@dataclass(frozen=True)
class Wanted:
    """Which programs are wanted: what they compute, how lanes go through it, where, and arguments of their shapes.

    Parts that Python code has registered may change with that code, as functions that they call: programs with such
    parts are kept for their `engine` alone, which stands for itself here, and not on disk.

    Attributes:
        split: of each seed, the examples of its parts.
        labels: of each seed those of all examples, where some have others than their own.
        examples, segment: the first batches, for as many steps as a call may have.
    """

    program: Program
    strategy: Strategy
    layout: Layout
    feed: Feed
    split: Split
    labels: np.ndarray | None
    seeds: SeedExamples
    factors: Factors
    examples: Examples
    segment: Segment
    engine: object

    def programs(self) -> Programs:
        """Those of this process, or of an earlier one, or new ones: traced here one after another, compiled beside.

        What is needed first comes first.
        """
        views = set().union(*views_of(self.program))
        settles = self.program.structure.moving and bool(views & RECALIBRATED.keys())
        looks = dict.fromkeys([VIEWS[view] for view in VIEWS if view in views] + ["arriving"] * settles)
        begin, found = self.begin(), {look: self.look(look) for look in looks}
        settle = self._kept("settle", self.training, self._options, None, self._settling) if settles else None
        given = (self.feed.like(self.chosen), self.chosen)
        measure = self._kept("measure", self.program, self._options, given, self._measuring)
        return Programs(begin, self.train(), measure, found, settle)

    def begin(self) -> Future[Compiled]:
        """What makes the initial states, by itself."""
        return self._kept("begin", self.training, hastily(), (self.examples, self.first), lambda: self._beginning)

    def train(self) -> Future[Compiled]:
        """What trains, by itself."""
        return self._kept("train", self.training, self._options, (self.examples, self.segment), self._training)

    def look(self, look: Look) -> Future[Compiled]:
        """What looks at whole splits, by itself."""
        block = self.block_of(look)
        given = (self.feed.like(block.passes.indices), block)
        return self._kept(look, self.training, self._options, given, lambda: self._looking(look, block))

    @property
    def first(self) -> Any:
        """(seeds, batch): where the examples of each seed's first batch are."""
        return self.segment.indices[:, 0]

    @cached_property
    def chosen(self) -> Chosen:
        """The training examples that lanes are probed with."""
        return chosen(self.split, self.program.measure.probe, self.program.train.batch_size)

    def passes(self, look: Look) -> tuple[Passes, int]:
        """All passes of a look, and how many of them are taken where it does not look at everything: the first ones."""
        if look not in self._passes:
            self._passes[look] = passes_of(look, self.program, self.split)
        return self._passes[look]

    def block_of(self, look: Look, begin: int = 0, end: int | None = None) -> Block:
        """The passes of a look from `begin` on, as many as one call takes, but none from `end` on."""
        (indices, owners), _ = self.passes(look)
        seeds, n, size = indices.shape
        room, end = self.feed.passes_at_once(n, seeds, size), n if end is None else end
        some = Passes(*(_filled(array[:, begin : begin + room], room) for array in (indices, owners)))
        return Block(some, np.int32(min(end - begin, room)))  # type: ignore[arg-type]

    @cached_property
    def _passes(self) -> dict[Look, tuple[Passes, int]]:
        return {}

    @property
    def training(self) -> Program:
        """The program without what it measures: studies that measure other things are trained by the same one."""
        return replace(self.program, measure=Measure())

    @cached_property
    def _beginning(self) -> Lowered:
        begin = jax.jit(initial_on_mesh(self.training, self.layout), compiler_options=hastily())
        return begin.lower(self.examples, self.seeds, self.factors, self.first)

    def _looking(self, look: Look, block: Block) -> Lowered:
        function = looking_on_mesh(self.training, look, self.strategy, self.layout)
        states, examples = self._states, self.feed.like(block.passes.indices)
        given = (states.step, states.params, states.batch_stats, block, self._seen(look))
        looking = jax.jit(function, donate_argnums=7, compiler_options=self._options)
        return looking.lower(examples, self.seeds, self.factors, *given)

    def _settling(self) -> Lowered:
        settle = jax.jit(settling_on_mesh(self.training, self.layout), compiler_options=self._options)
        given = (self._states.batch_stats, self._seen("arriving"), np.bool_(True), np.bool_(True))
        return settle.lower(self.factors, *given)

    def _measuring(self) -> Lowered:
        measure = jax.jit(measuring_on_mesh(self.program, self.strategy, self.layout), compiler_options=self._options)
        seen = {view: self._seen(VIEWS[view]) for view in sorted(set().union(*views_of(self.program)))}
        given = (self._states, self.chosen, seen, self.segment.measured)
        return measure.lower(self.feed.like(self.chosen), self.seeds, self.factors, *given)

    def _training(self) -> Lowered:
        function = training_on_mesh(self.training, self.strategy, self.layout)
        train = jax.jit(function, donate_argnums=3, compiler_options=self._options)
        return train.lower(self.examples, self.seeds, self.factors, self._states, self.segment)

    @cached_property
    def _states(self) -> TrainState:
        """The states of all lanes, as shapes on their devices."""
        return self._placed(self._beginning.out_info)  # type: ignore[no-any-return]

    def _seen(self, look: Look) -> Any:
        """What a look shows of all lanes, as shapes on their devices."""
        return self._placed(self.blank(look, self._states.batch_stats))

    def _placed(self, tree: Any) -> Any:
        place = NamedSharding(self.layout.mesh, self.layout.specs[2])
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)

    def blank(self, look: Look, batch_stats: Any) -> Any:
        """What a look shows of no examples, of every lane."""
        return blank(look, self.program, batch_stats)

    @cached_property
    def _options(self) -> dict[str, Any]:
        return dict(compiler_options(self.layout.mesh.devices.flat[0]))

    def _kept(
        self, part: str, program: Program, options: dict[str, Any], also: Any, lower: Callable[[], Lowered]
    ) -> Future[Compiled]:
        shapes = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), (self.seeds, self.factors, also))
        devices = tuple(self.layout.mesh.devices.flat)
        settled = all(own.sha256 in LOADED.values() for own in program.own)
        key = (
            part,
            program,
            (self.strategy, self.layout.axis, self.layout.at_once, self.layout.streamed),
            tuple((device.platform, device.id) for device in devices),
            tuple(sorted(options.items())),
            tuple(getattr(jax.config, name) for name in NUMBERS),
            str(shapes),
        )
        on_disk = Executable(repr(key), devices) if settled else None
        return _KEPT.get(key if settled else (key, self.engine), on_disk, lower)


class _Kept:
    """Compiled programs by their keys, the last used ones last."""

    def __init__(self) -> None:
        self._found: OrderedDict[Any, Future[Compiled]] = OrderedDict()
        self._lock = threading.Lock()
        self._beside = ThreadPoolExecutor(3, "compiling")

    def get(self, key: Any, on_disk: Executable | None, lower: Callable[[], Lowered]) -> Future[Compiled]:
        """What was made for `key`, or is being loaded or compiled: what is not on disk is traced here, by `lower`."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
            future = self._found[key] = Future[Compiled]()
            while len(self._found) > MOST_KEPT:
                self._found.popitem(last=False)
        lowered = None
        try:
            if on_disk is None or not on_disk.is_there:
                lowered = lower()
        except BaseException as error:
            self._fail(key, future, error)
            raise
        self._beside.submit(self._make, key, future, on_disk, lowered, lower)
        return future

    def forget(self) -> None:
        with self._lock:
            self._found.clear()

    def _make(
        self,
        key: Any,
        future: Future[Compiled],
        on_disk: Executable | None,
        lowered: Lowered | None,
        lower: Callable[[], Lowered],
    ) -> None:
        try:
            loaded = on_disk.load() if on_disk and lowered is None else None
            compiled = loaded or (lowered or lower()).compile()
        except BaseException as error:
            self._fail(key, future, error)
            return
        future.set_result(compiled)
        if on_disk and not loaded:
            on_disk.save(compiled)

    def _fail(self, key: Any, future: Future[Compiled], error: BaseException) -> None:
        """Let whoever waits know, and whoever asks next try again."""
        with self._lock:
            if self._found.get(key) is future:
                del self._found[key]
        future.set_exception(error)


_KEPT = _Kept()
"""Those of this process."""

_AHEAD = ThreadPoolExecutor(1, "tracing")
"""Where programs are traced that nobody waits for yet."""


def ahead(prepare: Callable[[], None]) -> None:
    """Call `prepare` beside what is going on; whoever then asks for a program that it failed to make, tries again."""
    _AHEAD.submit(prepare)


def forget() -> None:
    """Drop the compiled programs that are kept in this process."""
    _KEPT.forget()


def _filled(array: np.ndarray, n: int) -> np.ndarray:
    """(seeds, n, …): `array` with zeros after what it has along its second axis."""
    return np.concatenate([array, np.zeros((len(array), n - array.shape[1], *array.shape[2:]), array.dtype)], 1)
