"""The memory that a run takes is known before it runs, and shards are cut to fit what there is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.config import LaneSettings, build_study, load_study
from bn_ablate.config.architectures import Extent, layout_of
from bn_ablate.data import extent_of
from bn_ablate.engine import shards_of
from bn_ablate.plan import Plan, make_plan, restrict
from bn_ablate.plan.memory import (
    PROGRAM_BYTES,
    Machine,
    estimate_bytes,
    lane_bytes,
    lanes_that_fit,
    shard_bytes,
    streams,
)
from bn_ablate.plan.memory.estimate import DIGITS

ROOT = Path(__file__).resolve().parent.parent
SMALL = LaneSettings().at({"depth": 2, "width": 8})
GIB = 2**30


def test_the_state_of_an_mlp_by_hand() -> None:
    """64→8→8→10: three kernels; bias, γ and β of two blocks; 10 biases; a moment each; moving mean and variance."""
    parameters = 64 * 8 + 8 * 8 + 8 * 10 + 3 * 2 * 8 + 10
    moving = 2 * 2 * 8
    assert lane_bytes(SMALL) == 4 * (2 * parameters + moving)
    assert lane_bytes(SMALL.at({"momentum": 0.0})) == 4 * (parameters + moving)
    assert lane_bytes(SMALL.at({"optimizer": "adam"})) == 4 * (3 * parameters + moving)
    assert lane_bytes(SMALL, Extent((4, 4, 1), 3, 100)) == 4 * (2 * (parameters - 48 * 8 - 7 * 8 - 7) + moving)


def test_the_state_of_a_cnn_by_hand() -> None:
    """3×3 kernels from 1 to 4 channels at 8×8 places, 256→16, 16→10."""
    parameters = 9 * 4 + 256 * 16 + 16 * 10 + 3 * (4 + 16) + 10
    settings = SMALL.at({"architecture": "cnn", "width": 4, "momentum": 0.0})
    assert lane_bytes(settings) == 4 * (parameters + 2 * (4 + 16))


def test_the_state_of_a_resnet_by_hand() -> None:
    """Depth 5: 3×3 kernels 1→4, 4→4, 4→4 at 8×8 places, 4→8, 8→8 at 4×4, then a mean over places, and 8→10."""
    kernels = 9 * (1 * 4 + 4 * 4 + 4 * 4 + 4 * 8 + 8 * 8)
    channels = 4 + 4 + 4 + 8 + 8
    settings = SMALL.at({"architecture": "resnet", "depth": 5, "width": 4, "momentum": 0.0})
    assert lane_bytes(settings) == 4 * (kernels + 8 * 10 + 10 + 3 * channels + 2 * channels)
    layout = settings.model.layout((8, 8, 1), 10)
    assert [layer.output for layer in layout.layers] == [(8, 8, 4)] * 3 + [(4, 4, 8)] * 2


def test_resnet_20_has_the_parameters_that_are_published() -> None:
    """0.27 M on 32×32×3 images (He et al. 2016, table 6): 267 696 in kernels, 1 376 γ and β, 650 to the logits."""
    layout = layout_of("resnet", 19, 16, (32, 32, 3), 10)
    assert sum(layer.kernel + 2 * layer.output[-1] for layer in layout.layers) == 269_072
    assert layout.head == 650


@pytest.mark.parametrize(
    ("architecture", "depth", "width", "millions"),
    [
        ("resnet", 31, 16, 0.46),
        ("resnet", 55, 16, 0.85),
        ("resnet", 109, 16, 1.73),
        ("resnet_preact", 109, 16, 1.73),
        # WRN-28-10 has 36.48, of which its three convolutions on shortcuts are .26 (Zagoruyko & Komodakis 2016)
        ("resnet_preact", 25, 160, 36.22),
    ],
)
def test_larger_resnets_have_the_parameters_that_are_published(
    architecture: str, depth: int, width: int, millions: float
) -> None:
    """He et al. 2016, table 6, which rounds to .46, .85 and 1.7."""
    layout = layout_of(architecture, depth, width, (32, 32, 3), 10)
    parameters = sum(layer.kernel + 2 * layer.output[-1] for layer in layout.layers) + layout.head
    assert parameters / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_more_of_anything_takes_more(strategy: Any) -> None:
    machine = Machine(strategy, 2, GIB)
    base = shard_bytes(SMALL, 40, 10, machine)
    assert shard_bytes(SMALL, 80, 10, machine) > base
    for axis, level in {"depth": 3, "width": 16, "batch_size": 2048}.items():
        assert shard_bytes(SMALL.at({axis: level}), 40, 10, machine) > base, axis
    assert shard_bytes(SMALL, 40, 10, machine, DIGITS._replace(image=(32, 32, 3))) > base
    looking = SMALL.model_copy(update={"measure": SMALL.measure.model_copy(update={"also": ("landscape",)})})
    assert shard_bytes(looking, 40, 10, machine) > base


def test_all_lanes_at_once_take_more_than_one_by_one() -> None:
    assert shard_bytes(SMALL, 100, 10, Machine("vmap", 1, GIB)) > shard_bytes(SMALL, 100, 10, Machine("map", 1, GIB))


def test_the_peaks_of_a_gpu_are_below_the_estimates_and_not_far_below() -> None:
    """What an NVIDIA H200 reported, `docs/gpu_h200.json`; a small shard's peak is that of compiling it."""
    measured = json.loads((ROOT / "docs" / "gpu_h200.json").read_text(encoding="utf-8"))["float32"]
    main = make_plan(load_study(ROOT / "configs" / "ablate.toml")).groups[0].settings
    cnn = main.at({"architecture": "cnn", "depth": 5, "width": 16, "batch_size": 128})
    cnn = cnn.model_copy(update={"measure": cnn.measure.model_copy(update={"every": 4})})
    peaks = {
        "study": (main, 720, 10, measured["study"]["float32"], DIGITS),
        "CNN": (cnn, 24, 2, measured["memory"]["CNN 5×16 on 32×32×3, 24 lanes"], DIGITS._replace(image=(32, 32, 3))),
    }
    for name, (settings, lanes, seeds, found, extent) in peaks.items():
        machine = Machine("vmap", 1, 100 * GIB, platform="gpu")
        estimate = shard_bytes(settings, lanes, seeds, machine, extent)
        assert 1.5 < estimate / found["peak_bytes"] < 3, name
        assert estimate < shard_bytes(settings, lanes, seeds, replace(machine, platform="cpu"), extent)


@given(
    st.sampled_from(["map", "vmap"]),
    st.integers(1, 3000),
    st.integers(1, 2**38),
    st.sampled_from(["mlp", "cnn", "resnet"]),
    st.integers(4, 256),
    st.integers(1, 5),
    st.integers(1, 9),
)
def test_as_many_lanes_as_fit_and_no_more(
    strategy: Any, seeds: int, budget: int, architecture: str, width: int, devices: int, at_once: int
) -> None:
    """Cells at all seeds; one cell at some of them where that is too much; one lane at least."""
    settings = LaneSettings().at({"architecture": architecture, "width": width})
    machine = Machine(strategy, devices, budget, at_once)
    lanes = lanes_that_fit(settings, seeds, machine)
    cells, some = (lanes // seeds, seeds) if lanes >= seeds else (1, lanes)
    assert lanes == cells * some >= 1

    def fits(cells: int, seeds: int) -> bool:
        return PROGRAM_BYTES + shard_bytes(settings, cells * seeds, seeds, machine) <= budget

    assert lanes == 1 or fits(cells, some)
    assert strategy == "vmap" or lanes <= 256
    more = (cells, some + 1) if some < seeds else (cells + 1, some)
    assert not fits(*more) or (strategy == "map" and more[0] * more[1] > 256) or more[0] > 2**20 // seeds
    assert lanes <= lanes_that_fit(settings, seeds, Machine(strategy, devices, 2 * budget, at_once))


@given(st.sampled_from(["map", "vmap"]), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 90))
def test_lanes_are_divided_evenly_and_none_is_left_out(
    strategy: Any, devices: int, at_once: int, seeds: int, cells: int
) -> None:
    divided = Machine(strategy, devices, GIB, at_once).divide(seeds, cells)
    assert divided.seeds >= seeds
    assert divided.cells >= cells
    assert 1 <= divided.devices <= devices
    shared = divided.seeds if divided.axis == "seeds" else divided.cells // divided.at_once
    assert shared % divided.devices == 0
    assert divided.cells % divided.at_once == 0
    assert divided.at_once == (min(at_once, cells) if strategy == "map" else 1)


def plan_of(n_cells: int, **table: Any) -> Plan:
    rates = [0.001 * (i + 1) for i in range(n_cells)]
    return make_plan(build_study({"name": "x", "seeds": 2, "axes": {"learning_rate": rates}, **table}))


def test_a_plan_takes_what_its_largest_shard_takes() -> None:
    machine = Machine("map", 2, 4 * GIB)
    few, many, more = (estimate_bytes(plan_of(n), machine) for n in (2, 128, 1000))
    assert PROGRAM_BYTES < few < many
    assert many == PROGRAM_BYTES + shard_bytes(LaneSettings(), 256, 2, machine)
    assert more == PROGRAM_BYTES + shard_bytes(LaneSettings(), 250, 2, machine)  # eight near-equal shards of 125 cells


@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_a_cell_at_2000_seeds_is_divided_by_its_seeds(strategy: Any) -> None:
    """A CNN's would take 87 GiB at once; the shards keep within 4 GiB, and are of one shape."""
    plan = plan_of(3, seeds=2000, model={"architecture": "cnn", "depth": 5, "width": 32})
    machine, settings = Machine(strategy, 2, 4 * GIB), plan.groups[0].settings
    if strategy == "vmap":
        assert shard_bytes(settings, 2000, 2000, machine) > 80 * GIB
    most = lanes_that_fit(settings, 2000, machine)
    shards = shards_of(plan, max_lanes=most)
    assert sorted(lane for shard in shards for lane in shard.lane_ids) == sorted(lane.id for lane in plan.lanes)
    assert len({(shard.room, shard.seed_room) for shard in shards}) == 1
    for shard in shards:
        assert PROGRAM_BYTES + shard_bytes(settings, shard.room * shard.seed_room, shard.seed_room, machine) <= 4 * GIB
    assert estimate_bytes(plan, machine) <= 4 * GIB
    assert estimate_bytes(plan, machine) == PROGRAM_BYTES + shard_bytes(
        settings, shards[0].seed_room, shards[0].seed_room, machine
    )


def test_a_part_is_estimated_with_the_shapes_that_it_has() -> None:
    """All at once, those of the whole plan; one by one, its own."""
    whole = plan_of(40)
    part = restrict(whole, {"learning_rate": 0.001, "seed": 0})
    for strategy, alike in (("vmap", True), ("map", False)):
        machine = Machine(strategy, 1, 4 * GIB)  # type: ignore[arg-type]
        assert (estimate_bytes(part, machine) == estimate_bytes(whole, machine)) == alike


@pytest.mark.parametrize(("strategy", "platform"), [("map", "cpu"), ("vmap", "gpu")])
def test_data_that_would_take_more_than_half_of_the_memory_are_streamed(strategy: Any, platform: str) -> None:
    """Then how many they are is of little matter: 20 GB are trained on within 3 GiB. float32 takes four times."""
    cifar = Extent((32, 32, 3), 10, 60_000)
    copies = 60_000 * 32 * 32 * 3 * 3  # on the host, and on each of two devices
    large = cifar._replace(examples=6_500_000)
    for budget, extent, streamed in (
        (2 * copies, cifar, False),
        (2 * copies - 1, cifar, True),
        (2 * copies, cifar._replace(itemsize=4), True),
        (3 * GIB, large, True),
        (200 * GIB, large, False),
    ):
        assert streams(extent, Machine(strategy, 2, budget, platform=platform)) == streamed
    machine = Machine(strategy, 2, 3 * GIB, platform=platform)
    assert estimate_bytes(plan_of(2), machine, large) < 3 * GIB
    assert estimate_bytes(plan_of(2), machine, large._replace(examples=10_000_000)) < 3 * GIB


def test_the_estimate_is_of_the_data_at_hand() -> None:
    machine, plan = Machine("map", 2, 4 * GIB), plan_of(2)
    digits, cifar = (estimate_bytes(plan, machine, extent_of(name)) for name in ("digits", "cifar10"))
    assert digits == estimate_bytes(plan, machine)
    assert cifar - digits > 3 * 60_000 * 32 * 32 * 3  # on the host, and on each of two devices
