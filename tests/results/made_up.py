"""Small made-up tables of finished lanes, in the form in which a shard is stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bn_ablate.config import build_study
from bn_ablate.plan import Lane, Plan, make_plan
from bn_ablate.results import Store
from bn_ablate.results.tables import HISTORY_MEASURES, LANE_METRICS, LAYER_MEASURES, SITES

TABLE: dict[str, Any] = {
    "name": "made-up",
    "seeds": 2,
    "model": {"depth": 2},
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]},
}
STEPS = (0, 50, 100)


def plan_of(**changes: Any) -> Plan:
    return make_plan(build_study(TABLE | changes))


def manifest_of(plan: Plan, **changes: Any) -> dict[str, Any]:
    config = plan.study.model_dump(mode="json")
    return {"study": plan.study.name, "config": config, "seeds": list(plan.seeds), "status": "complete"} | changes


def tables_of(lanes: Iterable[Lane]) -> dict[str, pl.DataFrame]:
    """Tables of `lanes`; the numbers of a lane follow from its id."""
    rows: dict[str, list[dict[str, Any]]] = {"lanes": [], "history": [], "layers": [], "histograms": []}
    for lane in lanes:
        draw = np.random.default_rng(int(lane.id, 16)).random
        row = {"lane_id": lane.id, "seed": lane.seed, "status": "ok", "diverged_at": None, "best_step": 50}
        rows["lanes"].append({metric: draw() for metric in LANE_METRICS} | row)
        for step in STEPS:
            rows["history"].append(
                {"lane_id": lane.id, "step": step, "batch_loss": draw()} | {c: draw() for c in HISTORY_MEASURES}
            )
            for layer in range(2):
                key = {"lane_id": lane.id, "step": step, "layer": layer}
                rows["layers"].append(key | {measure: draw() for measure in LAYER_MEASURES})
                if step != 50:
                    counts = [int(100 * draw()) for _ in range(102)]
                    rows["histograms"] += [
                        key | {"site": site, "low": -10.0, "high": 10.0, "counts": counts} for site in SITES
                    ]
    return {name: pl.DataFrame(some, infer_schema_length=None) for name, some in rows.items()}


def stored(path: Path, plan: Plan, parts: int = 1) -> Store:
    """A store in the folder `path` that holds all lanes of `plan`, in so many shards; nothing is published yet."""
    store = Store(path)
    store.open()
    for part in range(parts):
        store.add_shard(f"shard-{part}", tables_of(plan.lanes[part::parts]))
    return store


def published(path: Path, plan: Plan | None = None) -> Store:
    """A complete results folder."""
    plan = plan or plan_of()
    store = stored(path, plan, 2)
    store.publish(plan, manifest_of(plan))
    return store


def flip(file: Path, at: int = -20) -> None:
    """Change one bit of one byte of `file`."""
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, with its content."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
