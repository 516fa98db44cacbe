"""Small made-up tables of finished lanes, in the form in which a shard is stored."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bn_ablate.config import build_study
from bn_ablate.config.measures import SITES
from bn_ablate.config.metrics import columns_with
from bn_ablate.config.sources import source_hash
from bn_ablate.data import load
from bn_ablate.plan import Lane, Plan, make_plan
from bn_ablate.results import Provenance, Record, Store
from bn_ablate.results.files import sha256_of

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
    data = {"name": "digits", "version": "1.0.0", "sha256": load("digits").sha256}
    facts = {"format": 1, "status": "complete", "study": plan.study.name, "seeds": list(plan.seeds)}
    return facts | {"config": config, "data": data} | changes


def provenance(**changes: Any) -> Provenance:
    """That of what this code would train, on a made-up machine."""
    said = dict.fromkeys(("jax", "jaxlib", "flax", "optax", "numpy"), "1.0") | {"options": "", "device": "cpu"}
    said |= {"code": source_hash(), "data": load("digits").sha256, "strategy": "map", "at_once": 1}
    return Provenance(**said | changes)


def claim(name: str) -> dict[str, Any]:
    """The record of a hypothesis, as `claims.json` holds them."""
    words = dict.fromkeys(("statement", "metric", "reason", "estimand"), "words")
    numbers = dict.fromkeys(("estimate", "p", "p_adjusted", "margin", "interval"))
    facts = {"kind": "contrast", "verdict": "inconclusive", "claim": "C1", "primary": False, "n_seeds": 2}
    return {"id": name} | words | numbers | facts


def record(**changes: Any) -> Record:
    """Where a shard comes from; `changes` are of its provenance."""
    git = {"sha": f"{len(changes)}" * 40, "dirty": False}
    return Record(provenance(**changes), {"devices": 2, "room": 4, "seed_room": 2}, {"git": git, "python": "3.11"})


def numbers(table: str, draw: Callable[[], float]) -> dict[str, float]:
    """A number for each column of a shard's `table` that holds one."""
    return {name: draw() for name, of in columns_with(())[table].items() if of.kind == "number" and not of.paired}


def tables_of(lanes: Iterable[Lane]) -> dict[str, pl.DataFrame]:
    """Tables of `lanes`; the numbers of a lane follow from its id."""
    rows: dict[str, list[dict[str, Any]]] = {"lanes": [], "history": [], "layers": [], "histograms": []}
    for lane in lanes:
        draw = np.random.default_rng(int(lane.id, 16)).random
        row = {"lane_id": lane.id, "seed": lane.seed, "status": "ok", "diverged_at": None, "best_step": 50}
        rows["lanes"].append(numbers("lanes", draw) | row)
        for step in STEPS:
            rows["history"].append({"lane_id": lane.id, "step": step} | numbers("history", draw))
            for layer in range(2):
                key = {"lane_id": lane.id, "step": step, "layer": layer}
                rows["layers"].append(key | numbers("layers", draw))
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
        store.add_shard(f"shard-{part}", tables_of(plan.lanes[part::parts]), record())
    return store


MADE: dict[str, Path] = {}
"""Complete results folders, one of each study."""


def published(path: Path, plan: Plan | None = None) -> Store:
    """A complete results folder: a copy of one that is written once in a process."""
    plan = plan or plan_of()
    key = plan.study.model_dump_json()
    if key not in MADE:
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        stored(folder / "made", plan, 2).publish(plan, manifest_of(plan))
        MADE[key] = folder / "made"
    shutil.copytree(MADE[key], path, dirs_exist_ok=True)
    return Store(path)


def finished(store: Store) -> set[str]:
    """The ids of all lanes that some shard of `store` holds."""
    return {lane for shard in store.held() for lane in shard.lanes}


def flip(file: Path, at: int = -20) -> None:
    """Change one bit of one byte of `file`."""
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def reseal(folder: Path, file: Path) -> None:
    """Give a changed file the checksums that a whole one has."""
    manifest = json.loads((folder / "manifest.json").read_text())
    changed = [file]
    sums = file.parent / "checksums.json"
    if sums.exists():
        sums.write_text(json.dumps(json.loads(sums.read_text()) | {file.name: sha256_of(file)}))
        changed.append(sums)
    manifest["files"] |= {path.relative_to(folder).as_posix(): sha256_of(path) for path in changed}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, with its content."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
