"""Made-up results with the look of real ones, written through the real store."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from bn_ablate.config import build_study
from bn_ablate.config.sources import source_hash
from bn_ablate.data import load
from bn_ablate.plan import Lane, Plan, make_plan
from bn_ablate.results import Provenance, Record, Results, Store, open_results
from bn_ablate.results.recording.columns import table_schemas

Change = Callable[[dict[str, Any], int, dict[str, Any]], dict[str, Any]]

ABLATION: dict[str, Any] = {
    "name": "ablation",
    "title": "Where to put BN, and how much dropout",
    "description": "Placement × activation × dropout rate on handwritten digits.",
    "claim": "C6",
    "train": {"steps": 400},
    "axes": {
        "placement": ["none", "pre", "post"],
        "activation": ["sigmoid", "tanh", "relu", "gelu"],
        "dropout_rate": [0.0, 0.1, 0.2, 0.3, 0.5, 0.7],
    },
    "hypotheses": [
        {
            "id": "pre-helps-sigmoid",
            "claim": "C3",
            "kind": "contrast",
            "statement": "BN before a sigmoid raises test accuracy by more than one point.",
            "metric": "final_test_accuracy",
            "alternative": "greater",
            "margin": 0.01,
            "a": {"placement": "pre", "activation": "sigmoid", "dropout_rate": 0.0},
            "b": {"placement": "none", "activation": "sigmoid", "dropout_rate": 0.0},
        },
        {
            "id": "gap",
            "claim": "C4",
            "kind": "contrast",
            "statement": "BN narrows the gap between training and test loss.",
            "metric": "gap",
            "alternative": "less",
            "a": {"placement": ["pre", "post"], "dropout_rate": 0.0},
            "b": {"placement": "none", "dropout_rate": 0.0},
        },
        {
            "id": "underfit",
            "claim": "C6",
            "kind": "contrast",
            "statement": "At half the units dropped, networks with BN underfit less than those without.",
            "metric": "underfitting",
            "alternative": "less",
            "a": {"placement": ["pre", "post"], "dropout_rate": 0.5},
            "b": {"placement": "none", "dropout_rate": 0.5},
        },
        {
            "id": "pre-post",
            "claim": "C7",
            "kind": "equivalence",
            "statement": "BN before and after ReLU give the same test accuracy, within one point.",
            "metric": "final_test_accuracy",
            "margin": 0.01,
            "a": {"placement": "pre", "activation": "relu"},
            "b": {"placement": "post", "activation": "relu"},
        },
        {
            "id": "post-tanh",
            "claim": "C7",
            "kind": "contrast",
            "statement": "For tanh, BN after the activation and before it differ in test loss.",
            "metric": "final_test_loss",
            "a": {"placement": "post", "activation": "tanh", "dropout_rate": 0.0},
            "b": {"placement": "pre", "activation": "tanh", "dropout_rate": 0.0},
        },
    ],
}


def diverges(levels: dict[str, Any], seed: int) -> bool:
    """The lanes of `ABLATION` that diverge: some ReLU networks without BN and with much dropout."""
    return (
        levels.get("placement") == "none"
        and levels.get("activation") == "relu"
        and levels.get("dropout_rate", 0) > 0.4
        and seed % 5 == 1
    )


def write_results(
    path: Path,
    table: dict[str, Any],
    *,
    diverged: Callable[[dict[str, Any], int], bool] = lambda levels, seed: False,
    change: Change = lambda levels, seed, row: row,
) -> Results:
    """Results of the study `table` in the folder `path`; `change` may alter each lane's row before it is stored."""
    plan = make_plan(build_study(table))
    store, manifest = Store(path), _manifest(plan)
    store.open()
    lanes, history, layers, histograms = [], [], [], []
    for lane in plan.lanes:
        fails = diverged(lane.cell.levels, lane.seed)
        curves = _history(lane, fails)
        depth = _layers(lane, fails)
        history += curves
        layers += depth
        histograms += _histograms(lane)
        lanes.append(change(lane.cell.levels, lane.seed, _row(lane, curves, depth, fails)))
    frames = {"lanes": lanes, "history": history, "layers": layers, "histograms": histograms}
    # what these made-up lanes do not say is null, as what a study does not ask for
    schemas = table_schemas()
    store.add_shard(
        "0", {name: pl.DataFrame(rows, schema=schemas[name]) for name, rows in frames.items()}, record_of(manifest)
    )
    store.publish(plan, manifest)
    return open_results(path)


def _noise(lane: Lane, *key: int) -> np.random.Generator:
    return np.random.default_rng([int(lane.id, 16), *key])


def _level(lane: Lane) -> tuple[str, str, float]:
    settings = lane.cell.settings
    return settings.norm.placement, settings.model.activation, settings.dropout.rate


def _history(lane: Lane, fails: bool) -> list[dict[str, Any]]:
    """Exponential learning curves to a train and a test loss that the cell and the seed decide."""
    placement, activation, rate = _level(lane)
    shared = np.random.default_rng(lane.seed).normal(size=2)
    own = _noise(lane, 0).normal(size=4)
    saturating = activation in ("sigmoid", "tanh")
    speed = {"none": 0.006 if activation == "sigmoid" else 0.02, "pre": 0.035, "post": 0.03}[placement]
    speed *= 1 - 0.6 * rate
    train = (
        0.004
        + {"none": 0.002, "pre": 0.03, "post": 0.02}[placement] * rate
        + 1.3 * rate**3 * (1 if saturating else 0.7)
    )
    bowl = (rate - {"none": 0.3, "pre": 0.12, "post": 0.15}[placement]) ** 2
    test = {"none": 0.36, "pre": 0.3, "post": 0.29}[placement] + 1.1 * bowl + 0.06 * shared[0] + 0.03 * own[0]
    rows = []
    study = lane.cell.settings
    steps = sorted({*range(0, study.train.steps, study.measure.every), study.train.steps})
    for step in steps:
        left = math.exp(-speed * step)
        losses = {
            "train": train * math.exp(0.25 * own[1]) * (1 - left) + 2.35 * left,
            "test": test * (1 - left) + 2.35 * left,
        }
        losses["test"] += 0.00012 * step * (1 - rate) * (placement == "none")
        losses["validation"] = losses["test"] + 0.01 * own[2]
        row: dict[str, Any] = {"lane_id": lane.id, "step": step}
        row["batch_loss"] = losses["train"] * 1.1 if step else math.nan
        for part, loss in losses.items():
            row[f"{part}_loss"] = loss
            row[f"{part}_accuracy"] = (
                round(max(0.08, 1 - 0.2 * loss - 0.01 * loss**2 - (0.32 * left if loss > 0.6 else 0)) * 1500) / 1500
            )
        if fails and step > study.train.steps // 3:
            row |= {key: math.nan for key in row if key.endswith("_loss")}
            row |= {key: 0.1 for key in row if key.endswith("_accuracy")}
        rows.append(row)
    return rows


def _layers(lane: Lane, fails: bool) -> list[dict[str, Any]]:
    placement, activation, _ = _level(lane)
    rows = []
    depth, steps = lane.cell.settings.model.depth, lane.cell.settings.train.steps
    for step in (0, steps):
        for layer in range(depth):
            noise = _noise(lane, 1, step, layer).normal(size=3)
            shrink = {"sigmoid": 0.25, "tanh": 0.7}.get(activation, 0.85) ** (
                (depth - 1 - layer) * (1 if placement == "none" else 0.2)
            )
            spread = _spread(lane, step, "activation_input")
            row: dict[str, Any] = {"lane_id": lane.id, "step": step, "layer": layer}
            row |= {"mean": 0.05 * noise[0], "std": spread, "within_3sigma": 0.995, "in_band": float(expit(6 - spread))}
            row |= {"steepness": 1 / (1 + 0.2 * spread), "saturated": float(expit(spread - 5)), "dead": 0.01}
            row["zero_share"] = 0.5 if activation == "relu" else 0.0
            row["gradient_norm"] = 0.3 * shrink * math.exp(0.15 * noise[1]) * (0.1 if step else 1)
            if fails and step:
                row |= {key: math.nan for key in row if key not in ("lane_id", "step", "layer")}
            rows.append(row)
    return rows


def _spread(lane: Lane, step: int, site: str) -> float:
    """The standard deviation of the first layer's pre-activations at `site`."""
    raw = 1.0 if step == 0 else 3.2
    return raw if site == "dense" or lane.cell.settings.norm.placement != "pre" else 1.0 if step == 0 else 1.5


def _histograms(lane: Lane) -> list[dict[str, Any]]:
    rows = []
    for step in (0, lane.cell.settings.train.steps):
        for site in ("dense", "activation_input"):
            shift = 0.8 if site == "dense" and step else 0.0
            z = _noise(lane, 2, step).normal(shift, _spread(lane, step, site), size=2000)
            bins = np.clip(np.floor((z + 10) / 0.2).astype(int) + 1, 0, 101)
            counts = np.bincount(bins, minlength=102).tolist()
            row = {"lane_id": lane.id, "step": step, "layer": 0, "site": site, "low": -10.0, "high": 10.0}
            rows.append(row | {"counts": counts})
    return rows


def _row(lane: Lane, history: list[dict[str, Any]], layers: list[dict[str, Any]], fails: bool) -> dict[str, Any]:
    last = history[-1]
    best = min(history, key=lambda row: row["validation_loss"] if math.isfinite(row["validation_loss"]) else math.inf)
    curves = [key for key in last if key.startswith(("train_", "validation_", "test_"))]
    ends = [row for row in layers if row["step"] == last["step"]]
    row: dict[str, Any] = {"lane_id": lane.id, "seed": lane.seed, "status": "diverged" if fails else "ok"}
    row["diverged_at"] = lane.cell.settings.train.steps // 3 if fails else None
    row |= {f"final_{key}": last[key] for key in curves} | {f"best_{key}": best[key] for key in curves}
    row |= {"best_step": best["step"], "gap": last["test_loss"] - last["train_loss"]}
    row["accuracy_gap"] = last["train_accuracy"] - last["test_accuracy"]
    row |= {key: float(np.mean([r[key] for r in ends])) for key in ("saturated", "in_band", "zero_share")}
    row["gradient_ratio"] = ends[0]["gradient_norm"] / ends[-1]["gradient_norm"]
    return row


def record_of(manifest: dict[str, Any]) -> Record:
    """Where the lanes of a made-up manifest come from."""
    said = {"code": source_hash(), "options": "", "data": manifest["data"]["sha256"], "device": "cpu"}
    versions = dict.fromkeys(("jaxlib", "optax"), "1.0") | manifest["packages"]
    provenance = Provenance(**said, **versions, strategy="map", at_once=1)
    environment = {key: manifest[key] for key in ("git", "packages", "device")}
    return Record(provenance, {"devices": 2, "room": 1, "seed_room": 1}, environment)


def _manifest(plan: Plan) -> dict[str, Any]:
    return {
        "format": 1,
        "study": plan.study.name,
        "status": "complete",
        "config": plan.study.model_dump(mode="json"),
        "config_sha256": "c0ffee" * 10 + "c0ff",
        "plan": {
            "axes": len(plan.study.axes),
            "cells": len(plan.cells),
            "lanes": plan.n_lanes,
            "programs": len(plan.groups),
        },
        "seeds": list(plan.seeds),
        "git": {"sha": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "packages": {"jax": "0.10.2", "flax": "0.12.8", "numpy": "2.4.6"},
        "device": {"platform": "cpu", "kind": "cpu", "count": 2},
        "strategy": "map",
        "data": {
            "name": "digits",
            "version": "1.0.0",
            "sizes": {"train": 300, "validation": 299, "test": 1198},
            "sha256": load("digits").sha256,
        },
        "timing": {"compile_seconds": 5.6, "train_seconds": 91.2, "lane_steps": plan.n_lanes * plan.study.train.steps},
        "programs": len(plan.groups),
        "peak_memory_bytes": 812_000_000,
        "created": "2026-01-05T10:00:00Z",
        "finished": "2026-01-05T10:02:10Z",
    }
