"""What each structure of a study costs: parameters, operations, and seconds of one network alone on this machine.

Costs are no results: they are other ones on each machine, and are kept apart from the tables that a study gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config.architectures import Layout
from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.plan import Cell, Plan
from bn_ablate.runs.run import data_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bn_ablate.config import LaneSettings
    from bn_ablate.data import Dataset
    from bn_ablate.engine.cost import Alone, Operations
    from bn_ablate.engine.program import Program

REPEATS = 7


class Structure(NamedTuple):
    """What makes another network, or another program, of a lane by itself: lanes cost the same where they share it."""

    program: Program
    normed: tuple[bool, ...]
    parameters: int


@dataclass(frozen=True)
class Cost:
    """What one structure costs.

    Attributes:
        levels: the levels of each axis that have this structure, in the study's order.
        structure: the structure.
        examples: how many an evaluation takes: all of train, validation and test.
        operations: for one example, as `engine.cost.operations` counts them.
        step_seconds, evaluation_seconds: (repeats,), one by turns with all other structures.
        without: the same without normalization; None where there is no such network.
    """

    levels: Mapping[str, tuple[Any, ...]]
    structure: Structure
    examples: int
    operations: Operations
    step_seconds: np.ndarray
    evaluation_seconds: np.ndarray
    without: Cost | None


def costs_of(
    plan: Plan,
    *,
    repeats: int = REPEATS,
    data: Dataset | None = None,
    data_dir: Path | None = None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Cost]:
    """Train and evaluate a network of each structure of `plan` by itself, all by turns, `repeats` times, and time it.

    Each is held to the same network without normalization, which is timed too where the study has none. The networks
    are the study's first cells of each structure, at its first seed, on one device.

    Raises:
        ConfigError, DataError: as `bn_ablate.run` does.
    """
    import jax
    import numpy as np

    from bn_ablate.engine import Engine
    from bn_ablate.engine.cost import Alone
    from bn_ablate.engine.program import program_of

    dataset = data_of(plan, data, data_dir)
    device = jax.local_devices()[0]
    engine, shape, classes = Engine(dataset, devices=[device]), dataset.images.shape[1:], dataset.n_classes

    def structure(cell: Cell) -> Structure:
        lane = cell.settings
        program = program_of([lane], shape, classes, device.platform)
        return Structure(program, lane.normed_blocks, parameters(lane, lane.model.layout(shape, classes)))

    members: dict[Structure, list[Cell]] = {}
    for cell in plan.cells:
        members.setdefault(structure(cell), []).append(cell)
    networks = {mine: cells[0] for mine, cells in members.items()}
    partners = {mine: (structure(plain), plain) for mine, cell in networks.items() if (plain := without_norm(cell))}
    networks |= {other: cell for other, cell in partners.values() if other not in members}
    alone: dict[Structure, Alone] = {}
    for i, (mine, cell) in enumerate(networks.items()):
        on_progress("tracing", i, len(networks))
        alone[mine] = Alone(engine, cell, plan.seeds[0])
    for i, lane in enumerate(alone.values()):
        on_progress("compiling", i, len(networks))
        lane.warm_up()
    seconds: dict[Structure, list[tuple[float, float]]] = {mine: [] for mine in alone}
    for i in range(repeats):
        on_progress("timing", i, repeats)
        for mine, lane in alone.items():
            seconds[mine].append((lane.step_seconds(), lane.evaluation_seconds()))

    def cost(mine: Structure, without: Cost | None = None) -> Cost:
        levels, (steps, evaluations) = _levels(plan, members.get(mine, [])), np.asarray(seconds[mine]).T
        return Cost(levels, mine, alone[mine].examples, alone[mine].operations, steps, evaluations, without)

    return [cost(mine, cost(partners[mine][0]) if mine in partners else None) for mine in members]


def parameters(lane: LaneSettings, layout: Layout) -> int:
    """How many parameters the network has that act: neither a γ or β without BN, nor a bias that BN takes away."""
    n = layout.head + sum(layer.kernel for layer in layout.layers)
    affine = lane.has_scale + lane.has_bias
    absorbs = lane.normalizes and lane.norm.placement == "pre" and NORMALIZERS[lane.norm.kind].absorbs_bias
    for normed, layer in zip(lane.normed_blocks, layout.layers, strict=True):
        n += layer.output[-1] * ((affine if normed else 0) + (not (normed and absorbs)))
    return n + layout.entry[-1] * affine * lane.input_normed


def without_norm(cell: Cell) -> Cell | None:
    """The same network without normalization; None where nothing of it would be trained."""
    plain = Cell({}, cell.stated.at({"placement": "none"}))
    return plain if plain.settings.trains_something else None


def table_of(costs: Iterable[Cost]) -> pl.DataFrame:
    """A row for each structure: the levels that have it, as texts, then what it costs; times are medians of repeats.

    The ratios are medians over the repeats, each of two networks that were timed one soon after the other.
    """
    import jax
    import numpy as np
    import polars as pl

    costs = list(costs)
    axes = [axis for axis in costs[0].levels if len({cost.levels[axis] for cost in costs}) > 1]
    device = jax.local_devices()[0]
    rows = []
    for cost in costs:
        row: dict[str, Any] = {axis: ", ".join(map(str, cost.levels[axis])) for axis in axes}
        row |= {"parameters": cost.structure.parameters}
        row |= {f"{what}_flops": n for what, n in cost.operations._asdict().items()}
        for what in ("step_seconds", "evaluation_seconds"):
            mine = getattr(cost, what)
            low, middle, high = np.quantile(mine, [0.25, 0.5, 0.75])
            row |= {what: middle, f"{what}_q25": low, f"{what}_q75": high}
            ratios = mine / getattr(cost.without, what) if cost.without else [np.nan]
            row[f"{what.removesuffix('_seconds')}_ratio"] = np.median(ratios)
        row |= {"batch_size": cost.structure.program.train.batch_size, "evaluated_examples": cost.examples}
        row["repeats"] = len(cost.step_seconds)
        rows.append(row | {"device": device.device_kind, "jax": jax.__version__, "written_by": WRITTEN_BY})
    return pl.DataFrame(rows).fill_nan(None)


def _levels(plan: Plan, cells: list[Cell]) -> dict[str, tuple[Any, ...]]:
    """The levels of each axis that occur among `cells`, in the study's order."""
    return {
        axis: tuple(level for level in levels if any(cell.levels[axis] == level for cell in cells))
        for axis, levels in plan.study.axes.items()
    }
