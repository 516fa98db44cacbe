"""A shard that was stopped, wherever, and resumed ends as one that never was: to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.engine import Engine, Outcome, Progress, Shard, shards_of
from bn_ablate.plan import make_plan, quick
from bn_ablate.results import checkpoints
from bn_ablate.results.checkpoints import Checkpoint
from tests.engine.small import leaves
from tests.results.made_up import flip, provenance

TABLE: dict[str, Any] = {
    "name": "resumed",
    "seeds": 2,
    "data": {"n_train": 60, "n_validation": 60, "n_test": 60},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 23, "batch_size": 16, "optimizer": "adam"},
    "measure": {"every": 10},
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.4], "learning_rate": [0.01, 1e30]},
}


class StopError(Exception):
    """What the caller of a run may raise."""


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load("digits"))


@pytest.fixture(scope="module")
def shard() -> Shard:
    (shard,) = shards_of(make_plan(bn.build_study(TABLE)))
    return shard


@pytest.fixture(scope="module")
def whole(engine: Engine, shard: Shard) -> Outcome:
    return engine.run(shard, keep_states=True)


def check_same(ours: Outcome, theirs: Outcome) -> None:
    for mine, other in ((ours.states, theirs.states), (ours.observations, theirs.observations)):
        found, expected = leaves(mine), leaves(other)
        assert found.keys() == expected.keys()
        for path, leaf in found.items():
            assert leaf.tobytes() == expected[path].tobytes(), path
    assert (ours.diverged_at == theirs.diverged_at).all()


def stop(progress: Progress) -> None:
    raise StopError


def test_stopped_after_every_segment(engine: Engine, shard: Shard, whole: Outcome, tmp_path: Path) -> None:
    """8, 2, 8, 2, 3 and 0 steps: each run takes one segment, and the next resumes, the measurements included."""
    told: list[str] = []
    before = engine.timing.resumed
    for _ in range(6):
        with pytest.raises(StopError):
            engine.run(shard, stop, keeper=Checkpoint(tmp_path / "a.ckpt", provenance(), told.append))
    done = engine.run(shard, keeper=Checkpoint(tmp_path / "a.ckpt", provenance(), told.append), keep_states=True)
    assert engine.timing.resumed - before == (8 + 10 + 18 + 20 + 23 + 23) * len(shard.lane_ids)
    assert told == []
    check_same(done, whole)
    assert (whole.diverged_at >= 0).any()


def test_saved_by_the_clock(
    engine: Engine, shard: Shard, whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, not stopped, some segments after the state was saved: those are trained again."""
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "TIMES_ITS_COST", 0.0)
    keeper = Checkpoint(tmp_path / "a.ckpt", provenance(), pytest.fail)
    save, saved = keeper.save, 0

    def only_two(key: str, arrays: dict[str, np.ndarray]) -> None:
        nonlocal saved
        saved += 1
        if saved <= 2:
            save(key, arrays)

    monkeypatch.setattr(keeper, "save", only_two)
    calls: list[Progress] = []

    def stop_in_the_fourth(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == 4:
            raise StopError

    with pytest.raises(StopError):
        engine.run(shard, stop_in_the_fourth, keeper=keeper)
    seen: list[Progress] = []
    done = engine.run(
        shard, seen.append, keeper=Checkpoint(tmp_path / "a.ckpt", provenance(), pytest.fail), keep_states=True
    )
    assert seen[-1].lane_steps == (23 - 10) * len(shard.lane_ids)
    check_same(done, whole)


def test_a_short_shard_writes_nothing(engine: Engine, shard: Shard, tmp_path: Path) -> None:
    engine.run(shard, keeper=Checkpoint(tmp_path / "a.ckpt", provenance(), pytest.fail))
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_or_foreign_is_reported_and_not_used(
    engine: Engine, shard: Shard, whole: Outcome, tmp_path: Path
) -> None:
    file = tmp_path / "a.ckpt"
    told: list[str] = []

    def again() -> Outcome:
        return engine.run(shard, keeper=Checkpoint(file, provenance(), told.append), keep_states=True)

    with pytest.raises(StopError):
        engine.run(shard, stop, keeper=Checkpoint(file, provenance(), told.append))
    content = file.read_bytes()
    for damage, telling in (
        (lambda: flip(file), "its content has changed"),
        (lambda: file.write_bytes(content[:-7]), "its content has changed"),
        (lambda: file.write_bytes(content.replace(b'"format": 2', b'"format": 7', 1)), "has format 7"),
        (lambda: file.write_bytes(b"\xff" + content), "cannot be read"),
        (lambda: file.write_bytes(content.replace(b'"key": "', b'"key": "f', 1)), "was written for another program"),
        (lambda: file.write_bytes(content.replace(b'"flax": "1.0', b'"flax": "1.1')), "(flax 1.1, now 1.0)"),
        (lambda: file.write_bytes(content.replace(b'"code": "', b'"code": "f', 1)), "other code or elsewhere (sources"),
        (lambda: file.write_bytes(content.replace(b'"optax": ', b'"optux": ', 1)), "other code or elsewhere; its"),
    ):
        file.write_bytes(content)
        damage()
        check_same(again(), whole)
        assert telling in told[-1]
        assert str(file) in told[-1]
        assert told[-1].endswith("; its lanes were trained from the start")
    assert len(told) == 8


def test_checkpoints_cost_a_fortieth_of_the_time_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing takes 4 s by this clock, so the next one is due 160 s after its end."""
    now = 0.0
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now)
    keeper = Checkpoint(tmp_path / "a.ckpt", provenance(), pytest.fail)
    sha256 = checkpoints.hashlib.sha256

    def slow(packed: Any) -> Any:
        nonlocal now
        now += 4.0
        return sha256(packed)

    monkeypatch.setattr(checkpoints.hashlib, "sha256", slow)
    now = 29.0
    assert not keeper.due()
    now = 30.0
    assert keeper.due()
    keeper.save("key", {"x": np.arange(3)})
    now = 34.0 + 159.0
    assert not keeper.due()
    now = 34.0 + 160.0
    assert keeper.due()
    assert keeper.load("key").keys() == {"x"}  # type: ignore[union-attr]


def test_a_stopped_run_keeps_its_layout() -> None:
    """Of blocks of 4, 4 and 2 cells the first is finished: the others stay, and new cells get blocks of their own."""
    rates = [round(0.01 * i, 2) for i in range(1, 11)]
    table = TABLE | {"axes": {"learning_rate": rates}}
    plan = make_plan(bn.build_study(table))
    laid_out = shards_of(plan, max_lanes=8)
    assert [len(shard.cells) for shard in laid_out] == [4, 4, 2]
    described = [shard.described for shard in laid_out]
    finished = set(laid_out[0].lane_ids)
    assert [len(shard.cells) for shard in shards_of(plan, finished, 8)] == [3, 3]
    assert shards_of(plan, finished, 8, begun=described) == laid_out[1:]
    assert [len(shard.cells) for shard in shards_of(plan, finished, 4, begun=described)] == [2, 2, 2]
    larger = make_plan(bn.build_study(table | {"axes": {"learning_rate": [*rates, 0.5]}}))
    again = shards_of(larger, finished, 8, begun=described)
    assert [shard.lane_ids for shard in again[:2]] == [shard.lane_ids for shard in laid_out[1:]]
    assert [shard.cells[0].levels["learning_rate"] for shard in again[2:]] == [0.5]
    other = make_plan(quick(bn.build_study(table)))
    assert shards_of(other, begun=described) == shards_of(other)


def test_halves_cover_the_same_lanes_down_to_one() -> None:
    (shard,) = shards_of(make_plan(bn.build_study(TABLE | {"seeds": 3})))
    work = [shard]
    sizes = [len(work)]
    while work != [half for s in work for half in s.halves]:
        work = [half for s in work for half in s.halves]
        sizes.append(len(work))
        assert sorted(lane for s in work for lane in s.lane_ids) == sorted(shard.lane_ids)
    assert sizes == [1, 2, 4, 8, 16, 24]
    assert all(len(s.lane_ids) == 1 for s in work)
