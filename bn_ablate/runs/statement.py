"""What the manifest of a run says: of its plan before training, and of its time and memory after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bn_ablate.config import base_settings
from bn_ablate.plan import Plan, canonical_json

if TYPE_CHECKING:
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Engine, Timing


def config_of(plan: Plan) -> dict[str, Any]:
    """The study of a plan, as JSON has it."""
    return dict(json.loads(plan.study.model_dump_json()))


def beforehand(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """What is known before training."""
    from bn_ablate.data import draw_split
    from bn_ablate.results.provenance import now, sha256_text

    config = config_of(plan)
    split = draw_split(dataset, base_settings(plan.study).data, plan.seeds[0])
    return {
        "study": plan.study.name,
        "status": "running",
        "config": config,
        "config_sha256": sha256_text(canonical_json(config)),
        "plan": {
            "axes": {axis: list(levels) for axis, levels in plan.study.axes.items()},
            "cells": len(plan.cells),
            "lanes": plan.n_lanes,
            "programs": len(plan.groups),
        },
        **({"part_of": plan.whole.study.name} if plan.whole else {}),
        **({"quick": True} if plan.quick else {}),
        "seeds": list(plan.seeds),
        "data": {
            "name": dataset.name,
            "version": dataset.version,
            "sha256": dataset.sha256,
            "sizes": {part: len(indices) for part, indices in split._asdict().items()},
        },
        "created": now(),
    }


def machine_facts(engine: Engine) -> dict[str, Any]:
    """What is to be said of the machine that trains, once its device has passed its check.

    Raises:
        DeviceError: it has not.
    """
    import jax

    from bn_ablate.engine import ensure_checked
    from bn_ablate.results.provenance import environment

    device = {
        "platform": jax.default_backend(),
        "kind": jax.local_devices()[0].device_kind,
        "count": jax.local_device_count(),
    }
    check = ensure_checked(engine)
    return {"device": device | ({"check": check._asdict()} if check else {}), **environment()}


def afterwards(timing: Timing, peak_bytes: int, status: str) -> dict[str, Any]:
    """What is known after training."""
    from bn_ablate.results.provenance import now

    return {
        "status": status,
        "programs": timing.programs,
        "timing": {
            "compile_seconds": round(timing.compile_seconds, 3),
            "train_seconds": round(timing.train_seconds, 3),
            "lane_steps": timing.lane_steps,
            "lane_steps_resumed": timing.resumed,
        },
        "peak_memory_bytes": peak_bytes,
        "finished": now(),
    }
