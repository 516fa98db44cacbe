"""Twenty steps of small grids on the device, against the same on the CPU in float64; and whether bits repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np

from bn_ablate.config import LaneSettings
from bn_ablate.engine.randomness import dropout_bits
from bn_ablate.engine.train import init_state
from gpu_checking.section import Section, set_up_jax
from gpu_checking.training import Arrays, Grid, Job, compile_all, make_grid, segment

STEPS = 20
TOLERANCES = {"mlp": 1e-5, "cnn": 1e-4, "resnet": 1e-4}
"""How far float32 may be from float64 after so many steps; on a CPU it is 7e-7 for the mlp and 3e-6 for the cnn."""

DETERMINISTIC = {"xla_gpu_deterministic_ops": True}
"""By program what this flag in XLA_FLAGS is for a process: nothing adds in changing order, or is chosen by timing."""

ROUNDING = "float64, begun a rounding of float32 apart"
ROUNDINGS = 6
"""How many such beginnings are tried; what the farthest of them comes to is tolerated too."""

COARSE = {"mlp": 1e-2}
"""The same of tensorfloat32, where that can be said: it takes a cnn elsewhere."""
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"architecture": "mlp", "depth": 3, "width": 128},
    "cnn": {"architecture": "cnn", "depth": 5, "width": 16},
    "resnet": {"architecture": "resnet", "depth": 7, "width": 16},
}
CELLS = [
    {"placement": placement, "activation": "tanh", "dropout_rate": rate}
    for placement in ("none", "pre", "post")
    for rate in (0.0, 0.3)
]
"""Smooth, so that no input that rounds to the other side of zero makes a difference that is no rounding error."""


def run(section: Section) -> None:
    """Report each network, then what must be the same to the bit."""
    set_up_jax(section.platform, section.folder / "programs")
    section.attempt("random bits", _random_bits)
    for name in section.networks:
        grid = grid_of(name, section.tiny)
        section.attempt(f"{name}: initial states", partial(_initial, grid))
        section.attempt(name, partial(_against_the_cpu, name, grid), 10)


def grid_of(name: str, tiny: bool = False) -> Grid:
    """Six cells at two seeds, batches of 32 of 8×8 images; convolutions are XLA's own."""
    small = {"depth": 3 if name == "resnet" else 2, "width": 4} if tiny else {}
    base = LaneSettings().at(NETWORKS[name] | {"batch_size": 32, "learning_rate": 0.01} | small)
    base = base.model_copy(update={"model": base.model.model_copy(update={"convolution": "native"})})
    return make_grid([base.at(cell) for cell in CELLS], (8, 8, 1), cells=6, seeds=2, room=STEPS, platform="cuda")


def fingerprint(tree: Any) -> str:
    """Of the bytes of all leaves."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _random_bits() -> dict[str, Any]:
    """Whether the device draws the bits that the CPU draws."""
    shapes = ((32, 128), (32, 7, 5, 3))
    both = []
    for device in (jax.devices()[0], jax.devices("cpu")[0]):
        with jax.default_device(device):
            both.append(fingerprint(dropout_bits(3, 5, shapes)))
    return {"same": both[0] == both[1]}


def _initial(grid: Grid) -> dict[str, Any]:
    """Whether the device begins with the bits that the CPU begins with, or how far from them."""
    seeds = jax.device_put(grid.arrays.seeds, jax.devices()[0])
    states = jax.jit(jax.vmap(lambda seed: init_state(grid.program, seed)))(seeds)
    cpu = jax.tree.map(lambda leaf: leaf[:, 0], grid.states.params)
    return {"same": fingerprint(states.params) == fingerprint(cpu), "distance": distance(states.params, cpu)}


def _against_the_cpu(name: str, grid: Grid) -> dict[str, Any]:
    cpu = jax.devices("cpu")[0]
    together, in_turn = segment(grid.program, "vmap"), segment(grid.program, "map")
    jobs = {
        "cpu, vmap": Job(grid, together, cpu),
        "device, vmap": Job(grid, together),
        "device, map": Job(grid, in_turn),
    }
    if name != "resnet":
        coarse = grid.at("tensorfloat32")
        jobs["device, vmap, tensorfloat32"] = Job(coarse, segment(coarse.program, "vmap"))
    if name == "mlp":
        jobs["device, map, 2 at once"] = Job(grid, segment(grid.program, "map", 2))
    if name == "cnn":
        jobs["device, vmap, deterministic"] = Job(grid, together, options=DETERMINISTIC)
        jobs["device, map, deterministic"] = Job(grid, in_turn, options=DETERMINISTIC)
    compile_seconds = compile_all(jobs)
    reference, apart = _in_float64(grid)
    found: dict[str, Any] = {ROUNDING: {"within": None, "parameters": apart}}
    states = {}
    for title, job in jobs.items():
        try:
            states[title] = jax.tree.map(np.asarray, job.run(STEPS))
            again = job.run(STEPS)
            off = distance(states[title].params, reference.params)
            tolerance = (COARSE if "tensorfloat32" in title else TOLERANCES).get(name)
            tolerance = tolerance and max(tolerance, apart)
            found[title] = {
                "within": None if tolerance is None else off <= tolerance,
                "tolerance": tolerance,
                "parameters": off,
                "moving statistics": distance(states[title].batch_stats, reference.batch_stats),
                "loss": distance(states[title].loss_sum, reference.loss_sum),
                "same twice": fingerprint(again) == fingerprint(states[title]),
                "bits": fingerprint(states[title]),
            }
        except Exception as error:
            found[title] = {"error": f"{type(error).__name__}: {error}"[:600]}
    pairs = [("device, vmap", "device, map")]
    between = {f"{a} : {b}": distance(states[a].params, states[b].params) for a, b in pairs if {a, b} <= states.keys()}
    return {"steps": STEPS, "against float64": found, "between": between, "compile_seconds": compile_seconds}


def _in_float64(grid: Grid) -> tuple[Any, float]:
    """The states after the same steps on the CPU, with float64 in every place that says float32.

    And the most that these steps make of one rounding of the initial parameters to float32: where a maximum over a
    window goes to another pixel, a network is elsewhere from there on, however exactly it is computed.
    """

    def wide(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.astype(float) if leaf.dtype == np.float32 else leaf, tree)

    with jax.enable_x64(True), patch.object(jnp, "float32", jnp.float64):
        program = replace(grid.program, train=grid.program.train.model_copy(update={"precision": "float64"}))
        wider = Grid(program, Arrays(*map(wide, grid.arrays)), wide(grid.states))
        job = Job(wider, segment(program, "vmap"), jax.devices("cpu")[0])
        job.compile(job.lower())
        states, *others = (job.run(STEPS, states=begun) for begun in _roundings_apart(wider.states))
        kept = {leaf.dtype for leaf in jax.tree.leaves((states.params, states.batch_stats, states.loss_sum))}
        assert kept == {np.dtype(float)}, kept
        reference = jax.tree.map(np.asarray, states)
        return reference, max(distance(other.params, reference.params) for other in others)


def _roundings_apart(states: Any) -> Iterator[Any]:
    """The states, and then others whose parameters are so far from them as float32 rounds."""
    yield jax.device_put(states, jax.devices("cpu")[0])
    for seed in range(ROUNDINGS):
        rng = np.random.default_rng(seed)
        params = jax.tree.map(lambda leaf, rng=rng: leaf * (1 + 1e-7 * rng.standard_normal(leaf.shape)), states.params)
        yield jax.device_put(states._replace(params=params), jax.devices("cpu")[0])


def distance(left: Any, right: Any) -> float:
    """The largest ‖left − right‖ / ‖right‖ of all leaves; not finite where one is not."""
    most = 0.0
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        reference = np.asarray(b, float)
        apart, norm = np.linalg.norm(np.asarray(a, float) - reference), np.linalg.norm(reference)
        most = float(np.maximum(most, apart / norm if norm else apart))
    return most
