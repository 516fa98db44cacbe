"""The bench compares like with like: every peer trains the same networks, and the figures follow from the rounds."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def stored() -> dict[str, Any]:
    """A run with two peers, in round figures."""
    from benching.cases import MLP_72

    def peer(speeds: list[int], **ready: Any) -> dict[str, Any]:
        common = {"timed": "all 72 lanes", "compile_seconds": 0.0, "programs": 0, "programs_of_case": 0, "form": ""}
        rounds = [{"lane_steps": speed, "seconds": 1.0} for speed in speeds]
        memory = {"peak_bytes": 1_000_000_000, "estimated_bytes": 900_000_000}
        return {"ready": {**common, "study_seconds": None, **ready}, "rounds": rounds, "loss": 0.5, **memory}

    ours = peer([4000, 2000, 3000], compile_seconds=6.0, programs=1, programs_of_case=1, study_seconds=10.0)
    peers = {
        "ours": ours,
        "torch-1x1": peer([1000, 400, 500]),
        "torch-2x1": {"absent": "not installed"},
        "flax": peer([900, 900, 900], compile_seconds=12.0, programs=12, programs_of_case=72),
        "matmul": peer([5000, 4000, 3750]),
    }
    machine = {"cpu": "a processor", "cores": 2, "memory_bytes": 2**34, "system": "Linux", "versions": {"jax": "1"}}
    points = [(16, 1.0), (64, 4.0), (256, 20.0), (1024, 64.0)]
    return {
        "machine": machine | {"commit": "", "created": "2030-01-01T00:00:00+00:00", "load_before": 0.0},
        "settings": {"quick": False, "rounds": 3, "device": "cpu", "seconds": 60.0},
        "cases": [{"case": MLP_72.to_json(), "lanes": 72, "peers": peers}],
        "diagnostics": {"some case": {"on": [11.0, 24.0, 12.0], "off": [10.0, 20.0, 10.0]}},
        "starting": [
            {
                "name": "smoke",
                "first": {"compile_seconds": 2.0, "step_seconds": 4.0, "cpu_seconds": 6.0},
                "second": {"compile_seconds": 0.1, "step_seconds": 0.6, "cpu_seconds": 0.9},
            },
            {
                "name": "mlp-72",
                "first": {"compile_seconds": 2.0, "step_seconds": 4.0, "cpu_seconds": 6.0, "study_seconds": 9.0},
                "second": {"compile_seconds": 0.1, "step_seconds": 0.6, "cpu_seconds": 0.9, "study_seconds": 4.0},
            },
        ],
        "scaling": [
            {"axis": "lanes", "value": n, "lanes": n, "steps": 10, "lane_steps": n, "seconds": 1.0, "study_seconds": s}
            for n, s in points
        ],
    }


def test_figures_are_medians_of_rounds_in_pairs(stored: dict[str, Any]) -> None:
    from benching.figures import lead, study_seconds, targets

    case = stored["cases"][0]
    spread = lead(case, "torch-1x1")
    assert (spread.least, spread.median, spread.most) == (4.0, 5.0, 6.0)
    assert study_seconds(case, "ours") == 10.0
    assert study_seconds(case, "flax") == pytest.approx(12.0 * 72 / 12 + 72 * 100 / 900)
    measured = {target.title: (target.measured, target.verdict) for target in targets(stored)}
    assert measured == {
        "finished, against the best PyTorch": (pytest.approx(1.44), "must"),
        "finished in a second process, against the best PyTorch": (pytest.approx(14.4 / 4), "aim"),
        "finished, against a Flax step loop": (pytest.approx(8.0), "missed"),
        "finished, against a scanned Flax": (None, "not measured"),
        "start to first step, second process": (0.6, "must"),
        "share of the matrix products alone": (0.8, "aim"),
        "with measurements, against without": (1.2, "missed"),
    }


def test_the_page_gets_the_tables_and_keeps_its_words(stored: dict[str, Any], tmp_path: Path) -> None:
    import bench
    from benching.cases import MLP_720
    from benching.render import write_page

    file, page = tmp_path / "run.json", tmp_path / "page.md"
    file.write_text(json.dumps(stored))
    page.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    assert bench.main(["--write-docs", str(file), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| finished, against the best PyTorch | MLP 3×128, 72 lanes | 1× | 1.5× | 1.44× | must, not aim |" in text
    assert "opening" not in text
    assert "(a) PyTorch eager, 2 processes: not installed." in text
    assert "| 1024 | 10 | 1,024 | 1.00 | 16 |" in text
    once = text
    bench.main(["--write-docs", str(file), "--page", str(page)])
    assert page.read_text() == once
    page.write_text("no place")
    with pytest.raises(ValueError, match="bench:begin"):
        write_page(stored, page)
    page.write_text("<!-- opening:begin -->\n<!-- opening:end -->\n<!-- bench:begin -->\n<!-- bench:end -->\n")
    (tmp_path / "figures").mkdir()
    stored["cases"][0] |= {"case": MLP_720.to_json(), "lanes": 720}
    write_page(stored, page)
    # 720 × 400 steps at 500 a second, and 6 times 12 s of compiling before 900 a second
    assert (
        "bn_ablate 4,320; Flax, a jitted step in a Python loop 110; PyTorch, one network after another 75."
        in page.read_text()
    )
    assert (tmp_path / "figures" / "networks_a_minute.png").read_bytes().startswith(b"\x89PNG")


def test_the_sample_stands_for_all_lanes() -> None:
    from benching.cases import CASES, Case

    for case in CASES.values():
        sample = case.sample()
        assert [lane.structure for lane in sample] == case.structures
        assert {lane.rate for lane in sample} == set(case.rates)
        assert sum(len(case.lanes_of(structure)) for structure in case.structures) == case.n_lanes
        assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_a_peer_that_fails_says_why(tmp_path: Path) -> None:
    from benching.cases import MLP_72
    from benching.compare import Conditions, start
    from benching.roster import PEERS
    from benching.workers import WorkerError

    conditions = Conditions(1, 0.1, "cpu", Path(sys.executable), None, tmp_path)
    with start(PEERS["matmul"], conditions) as worker, pytest.raises(WorkerError, match="FileNotFoundError"):
        worker.make(MLP_72, tmp_path / "missing.npz", round_seconds=0.1, platform="cpu")


@pytest.mark.slow
def test_peers_and_ours_train_the_same_networks(tmp_path: Path) -> None:
    """On the same batches, but with weights and dropout of their own, all reach the same losses."""
    from benching.cases import MLP_72
    from benching.compare import Conditions, compare
    from benching.figures import present, rates
    from benching.roster import entrants

    few = {"placements": ("none", "pre", "post"), "activations": ("tanh",), "rates": (0.0, 0.3)}
    case = replace(MLP_72, depth=2, width=32, batch_size=32, steps=40, **few)  # type: ignore[arg-type]
    conditions = Conditions(2, 0.1, "cpu", Path(sys.executable), None, tmp_path)
    names = ["ours", "ours-vmap", "torch-1x1", "flax", "scan", "matmul"]
    compared = compare(case, entrants(names, case), conditions, lambda line: None)
    peers = compared["peers"]
    assert present(compared) == ["ours", "ours-vmap", "flax", "scan", "matmul"]
    assert peers["torch-1x1"] == {"absent": "not installed"}
    ours = peers["ours"]["loss"]
    assert 0.2 < ours < 2.0
    assert peers["ours-vmap"]["loss"] == pytest.approx(ours, rel=1e-4)
    for name in ("flax", "scan"):
        assert peers[name]["loss"] == pytest.approx(ours, rel=0.15), name
    assert peers["ours"]["ready"]["programs"] == 1
    assert peers["flax"]["ready"]["programs"] == 6
    assert peers["scan"]["ready"]["programs"] == 3
    for name in present(compared):
        assert len(rates(compared, name)) == 2
        assert peers[name]["peak_bytes"] > 50e6
