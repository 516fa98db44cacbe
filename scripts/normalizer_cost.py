"""What a lane of one normalizer costs in the program of all of them, held to the program that is compiled for it alone.

    .venv/bin/python scripts/normalizer_cost.py [--rounds 40] [--steps 40] [--choices]

Lanes go one by one, so that what a lane does not have is a branch that is not taken. Both programs take the same steps
by turns, in changing order; the processor's time of each is counted, since a busy machine makes wall-clock times of
little use, and the table has the median of the ratios with its 95% interval, that of the sign test.
With `--choices`, BN beside lanes of each of its own choices is held to BN alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import binom

from bn_ablate.config import LaneSettings
from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.engine import set_up
from bn_ablate.engine.many_lanes import advance
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.randomness import NOISES
from bn_ablate.engine.train import Batch, init_state
from bn_ablate.nn import lane_factors

IMAGE, CLASSES = (8, 8, 1), 10
BASE = LaneSettings().at({"depth": 3, "width": 128, "batch_size": 64, "steps": 100_000})
KINDS = tuple(name for name in NORMALIZERS.own if name != "instance")
"""Those that can stand in a multilayer perceptron."""
CHOICES: dict[str, dict[str, Any]] = {
    "norm.gradient": {"norm_gradient": "no_mean"},
    "norm.statistics": {"norm_statistics": "other_batch"},
    "norm.noise": {"norm_noise": 8},
    "norm.noise_after": {"norm_noise_after": 1.0},
    "norm.since": {"norm_since": 50_000},
    "norm.until": {"norm_until": 50_000},
    "norm.momentum_end": {"bn_momentum_end": 0.99},
    "norm.frozen_from": {"frozen_from": 50_000},
    "norm.epsilon_on": {"epsilon_on": "deviation"},
}


def trainer(lane: LaneSettings, beside: list[LaneSettings], steps: int) -> Callable[[], float]:
    """A call that trains `lane` for some steps in the program of all these, and gives the processor's seconds."""
    program = program_of([lane, *beside], IMAGE, CLASSES)
    factors = lane_factors(lane, program.structure)
    given = batches(program, steps)
    run = jax.jit(advance, static_argnums=0)
    state = jax.jit(init_state, static_argnums=0)(program, 0, factors)
    jax.block_until_ready(run(program, jnp.int32(1), given, factors, state))

    def once() -> float:
        start = time.process_time()
        jax.block_until_ready(run(program, jnp.int32(steps), given, factors, state))
        return time.process_time() - start

    return once


def batches(program: Program, steps: int) -> Batch:
    """What some steps are given, at random."""
    draw, size = np.random.default_rng(0), program.train.batch_size
    x = jnp.asarray(draw.normal(size=(steps + 1, size, *IMAGE)), jnp.float32)
    y = jnp.asarray(draw.integers(CLASSES, size=(steps, size)), jnp.int32)
    drawn = [{key: NOISES[key](0, i, program.channels, size) for key in program.noises} for i in range(steps)]
    noises = jax.tree.map(lambda *some: jnp.stack(some), *drawn)
    return Batch(x[:-1], y, None, noises or None, x[1:] if program.structure.others else None)


def compared(ours: Callable[[], float], alone: Callable[[], float], rounds: int) -> tuple[float, float, float, float]:
    """Milliseconds alone, the median of the ratios of pairs, and the ends of its interval."""
    pairs = []
    for i in range(rounds):
        first, second = (ours, alone) if i % 2 else (alone, ours)
        one, other = first(), second()
        pairs.append((one, other) if i % 2 else (other, one))
    found = np.asarray(pairs)
    ratios = np.sort(found[:, 0] / found[:, 1])
    low = int(binom.ppf(0.025, rounds, 0.5))
    middle = 1e3 * float(np.median(found[:, 1]))
    return middle, float(np.median(ratios)), float(ratios[max(low - 1, 0)]), float(ratios[-max(low, 1)])


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--choices", action="store_true", help="BN's own choices in the place of normalizers")
    parser.add_argument("--only", nargs="*", help="these rows alone")
    parser.add_argument("--beside", nargs="*", help="the normalizers in the program besides; all, when not given")
    parser.add_argument("--width", type=int, default=128)
    args = parser.parse_args()
    set_up("cpu")
    base = BASE.at({"width": args.width})
    lanes = {name: base.at({"norm_kind": name}) for name in KINDS} | {"none": base.at({"placement": "none"})}
    others = [lanes[name] for name in (lanes if args.beside is None else args.beside)]
    rows = [(name, lane, others) for name, lane in lanes.items()]
    if args.choices:
        rows = [(name, base, [base.at(levels)]) for name, levels in CHOICES.items()]
    what = "BN beside" if args.choices else "normalizer"
    print(f"| {what} | alone, ms for {args.steps} steps | together / alone | 95% interval |\n|---|--:|--:|---|")
    for name, lane, beside in (row for row in rows if not args.only or row[0] in args.only):
        ms, ratio, low, high = compared(trainer(lane, beside, args.steps), trainer(lane, [], args.steps), args.rounds)
        print(f"| `{name}` | {ms:.0f} | {ratio:.3f} | {low:.3f} … {high:.3f} |", flush=True)


if __name__ == "__main__":
    main()
