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
from jax.stages import Compiled, Lowered

from bn_ablate.config.extensions import LOADED
from bn_ablate.config.training_keys import Measure
from bn_ablate.engine.compiling import compiler_options, hastily
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.executables import Executable
from bn_ablate.engine.many_lanes import (
    Layout,
    Segment,
    Strategy,
    initial_on_mesh,
    measuring_on_mesh,
    training_on_mesh,
)
from bn_ablate.engine.program import Program
from bn_ablate.nn import Factors

MOST_KEPT = 48
"""Compiled programs that this process keeps, those that were used last."""

NUMBERS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable")
"""Options of JAX that make other programs of the same functions."""


class Programs(NamedTuple):
    """What trains and measures some lanes; each is waited for when it is first needed.

    Attributes:
        begin: (examples, seeds, factors, positions of each seed's first batch) to the states before training.
        measure: (examples, seeds, factors, states, thorough) to what is observed.
        train: (examples, seeds, factors, states, segment) to the states after it; it takes the place of those given.
    """

    begin: Future[Compiled]
    measure: Future[Compiled]
    train: Future[Compiled]


@dataclass(frozen=True)
class Wanted:
    """Which programs are wanted: what they compute, how lanes go through it, where, and arguments of their shapes.

    Parts that Python code has registered may change with that code, as functions that they call: programs with such
    parts are kept for their `engine` alone, which stands for itself here, and not on disk.
    """

    program: Program
    strategy: Strategy
    layout: Layout
    examples: Examples
    seeds: SeedExamples
    factors: Factors
    segment: Segment
    engine: object

    def programs(self) -> Programs:
        """Those of this process, or of an earlier one, or new ones: traced here one after another, compiled beside.

        What measures is needed first.
        """
        begin = self.begin()
        measure = self._kept("measure", self.program, self._options, (self.examples,), self._measuring)
        return Programs(begin, measure, self.train())

    def begin(self) -> Future[Compiled]:
        """What makes the initial states, by itself."""
        return self._kept("begin", self.training, hastily(), (self.examples, self.first), lambda: self._beginning)

    def train(self) -> Future[Compiled]:
        """What trains, by itself."""
        return self._kept("train", self.training, self._options, (self.examples, self.segment), self._training)

    @property
    def first(self) -> Any:
        """(seeds, batch): the positions of each seed's first batch."""
        return self.segment.positions[:, 0]

    @property
    def training(self) -> Program:
        """The program without what it measures: studies that measure other things are trained by the same one."""
        return replace(self.program, measure=Measure())

    @cached_property
    def _beginning(self) -> Lowered:
        begin = jax.jit(initial_on_mesh(self.training, self.layout), compiler_options=hastily())
        return begin.lower(self.examples, self.seeds, self.factors, self.first)

    def _measuring(self) -> Lowered:
        function = measuring_on_mesh(self.program, self.strategy, self.layout)
        measure = jax.jit(function, compiler_options=self._options)
        states = self._beginning.out_info
        return measure.lower(self.examples, self.seeds, self.factors, states, self.segment.measured)

    def _training(self) -> Lowered:
        function = training_on_mesh(self.training, self.strategy, self.layout)
        train = jax.jit(function, donate_argnums=3, compiler_options=self._options)
        return train.lower(self.examples, self.seeds, self.factors, self._beginning.out_info, self.segment)

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
            (self.strategy, self.layout.axis, self.layout.at_once),
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
