"""The main study, finished, through the public call: in float32, once more with its programs kept, in tensorfloat32."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benching.workers import ROOT

from gpu_checking.section import Section, set_up_jax

METRICS = ("final_test_accuracy", "final_train_loss", "final_test_loss")
TINY = ("seeds=2", "train.steps=20", "measure.every=10", "model.depth=2", "model.width=8")


def run(section: Section) -> None:
    """Report a run of each precision, and one more that finds its programs compiled; each in a process of its own."""
    section.attempt("float32", lambda: _in_a_process(section, "float32"), 10)
    section.attempt("float32, second process", lambda: _in_a_process(section, "float32"), 8)
    if section.platform != "cpu" or section.tiny:
        section.attempt("tensorfloat32", lambda: _in_a_process(section, "tensorfloat32"), 12)


def _in_a_process(section: Section, precision: str) -> dict[str, Any]:
    """What `_finished` gives in a new process, which keeps its programs where the others of this section find them."""
    options = {
        "precision": precision,
        "tiny": section.tiny,
        "platform": section.platform,
        "folder": str(section.folder),
    }
    begun = time.perf_counter()
    command = [sys.executable, "-m", "gpu_checking.main_study", json.dumps(options)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=section.left(), text=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found | {"process_seconds": time.perf_counter() - begun}


def _finished(precision: str, tiny: bool, platform: str, folder: str) -> dict[str, Any]:
    """The study from nothing to its tables: seconds, memory, final metrics by lane, and the verdicts."""
    import bn_ablate as bn
    from bn_ablate.engine.devices import peak_memory_bytes

    set_up_jax(platform, Path(folder) / "programs")
    overrides = (*(TINY if tiny else ()), f"train.precision={precision}")
    study = bn.load_study(ROOT / "configs" / "ablate.toml", overrides)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as results_folder:
        results = bn.run(study, Path(results_folder) / "study", progress=False)
        seconds = time.perf_counter() - begun
        return {
            "lanes": results.lanes.height,
            "steps": study.train.steps,
            "finished_seconds": seconds,
            "timing": results.manifest["timing"],
            "strategy": results.manifest["strategy"],
            "peak_bytes": peak_memory_bytes(),
            "estimated_bytes": _estimate(study),
            "lane_names": ["/".join(map(str, row)) for row in results.lanes.select(*study.axes, "seed").iter_rows()],
            "metrics": {name: [_plain(value) for value in results.lanes[name].to_list()] for name in METRICS},
            "verdicts": _verdicts(results),
        }


def _estimate(study: Any) -> dict[str, int]:
    """What was thought beforehand that the lanes and the process would need."""
    from bn_ablate.engine import Engine
    from bn_ablate.plan import make_plan
    from bn_ablate.plan.memory import PROGRAM_BYTES, shard_bytes
    from bn_ablate.runs.run import data_of

    plan = make_plan(study)
    machine = Engine(data_of(plan, None, None)).machine()
    lanes = shard_bytes(plan.groups[0].settings, plan.n_lanes, len(plan.seeds), machine)
    return {"lanes": lanes, "process": PROGRAM_BYTES}


def _verdicts(results: Any) -> Any:
    """Estimate, interval and verdict of each hypothesis."""
    from bn_ablate.analysis import analyze

    try:
        records = analyze(results)
    except Exception as error:  # the figures of speed are worth keeping all the same
        return {"error": f"{type(error).__name__}: {error}"[:600]}
    keys = ("id", "estimate", "interval", "verdict", "p_adjusted")
    return [{key: _plain(record[key]) for key in keys if key in record} for record in records]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    print(json.dumps(_finished(**json.loads(sys.argv[1]))))
