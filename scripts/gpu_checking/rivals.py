"""The main study's lanes as others would train them on the same card, finished, each in a process of its own."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benching.cases import Case, shortened
from benching.roster import Entry
from benching.workers import Worker, write_examples

from gpu_checking.section import Section

CASE = Case("main-study", "MLP 3×128, 720 lanes", batch_size=64, steps=400, learning_rate=0.1, seeds=10)
"""The networks, batches and steps of the main study; of all digits, and evaluated at the start and the end alone."""

FEW = replace(CASE, name="main-study-relu", activations=("relu",))
"""For what compiles a program for each configuration, or each structure: a quarter of them, scaled up, and said so."""


def run(section: Section) -> None:
    """Report each, ours first; JAX's default products, which the others of JAX have, are tf32 on a GPU."""
    case, few = (shortened(CASE), shortened(FEW)) if section.tiny else (CASE, FEW)
    few = replace(few, activations=("relu",))
    for one in (case, few):
        write_examples(one, section.folder / f"{one.name}.npz")
    card = "cuda" if section.platform == "cuda" else "cpu"
    python, torch = Path(sys.executable), section.torch_python

    def stacked(tf32: bool) -> dict[str, Any]:
        return _torch(section, Entry("stacked", "", "torch_stacked", _options(card, tf32)), torch, case)

    def eager() -> dict[str, Any]:
        return _torch(section, Entry("eager", "", "torch_eager", _options(card, True)), torch, case)

    section.attempt("bn_ablate, float32", lambda: _ours(section, python, case, "float32"), 15)
    section.attempt("bn_ablate, tf32", lambda: _ours(section, python, case, "tensorfloat32"), 15)
    section.attempt("PyTorch stacked, float32", lambda: stacked(False), 12)
    section.attempt("PyTorch stacked, tf32", lambda: stacked(True), 12)
    section.attempt("Flax loop, tf32", lambda: _compiling(section, "flax_loop", python, few, case), 15)
    section.attempt("matrix products alone, tf32", lambda: _products(section, python, case), 15)
    section.attempt("JAX scan, tf32", lambda: _compiling(section, "jax_scan", python, few, case), 15)
    section.attempt("PyTorch eager, tf32", eager, 12)


def _options(device: str, tf32: bool) -> dict[str, Any]:
    return {"processes": 1, "threads": 1, "device": device, "tf32": tf32}


def _ours(section: Section, python: Path, case: Case, precision: str) -> dict[str, Any]:
    """Everything is trained; nothing is scaled."""
    options = {"strategy": "auto", "at_once": 1, "devices": None, "precision": precision}
    entry = Entry("ours", "", "ours", options)
    with Worker(entry, python) as worker:
        begun = time.perf_counter()
        worker.make(case, section.folder / f"{case.name}.npz", round_seconds=1.0, platform=section.platform)
        started = time.perf_counter() - begun
        ready = worker.ask("set_up")
        timed = worker.ask("round")
        return {
            "finished_seconds": ready["study_seconds"],
            "trained": ready["timed"],
            "start_seconds": started,
            "compile_seconds": ready["compile_seconds"],
            "lane_steps_per_second": timed["lane_steps"] / timed["seconds"],
            "form": ready["form"],
        }


def _torch(section: Section, entry: Entry, python: Path, case: Case) -> dict[str, Any]:
    """Nothing is compiled; what a sample of the lanes took is scaled to all of them."""
    with Worker(entry, python) as worker:
        begun = time.perf_counter()
        worker.make(case, section.folder / f"{case.name}.npz", round_seconds=3600.0)
        started = time.perf_counter() - begun
        ready = worker.ask("set_up")
        timed = worker.ask("round")
        return _scaled(case, timed) | {"trained": ready["timed"], "start_seconds": started, "form": ready["form"]}


def _compiling(section: Section, module: str, python: Path, few: Case, case: Case) -> dict[str, Any]:
    """Compiled for some, and scaled to all: programs by how many the case needs, steps by lanes."""
    with Worker(Entry(module, "", module), python) as worker:
        worker.make(few, section.folder / f"{few.name}.npz", round_seconds=2.0, platform=section.platform)
        ready = worker.ask("set_up")
        timed = worker.ask("round")
        needed = case.n_configurations if module == "flax_loop" else len(case.structures)
        compiling = ready["compile_seconds"] * needed / ready["programs"]
        scaled = _scaled(case, timed)
        return scaled | {
            "finished_seconds": scaled["finished_seconds"] + compiling,
            "trained": f"{ready['timed']} of {few.n_lanes} of {case.n_lanes}",
            "compile_seconds": compiling,
            "compiled": f"{ready['programs']} of {needed} programs",
        }


def _scaled(case: Case, timed: dict[str, Any]) -> dict[str, Any]:
    total = case.n_lanes * case.steps
    return {
        "finished_seconds": timed["seconds"] * total / timed["lane_steps"],
        "lane_steps_per_second": timed["lane_steps"] / timed["seconds"],
        "extrapolated": timed["lane_steps"] < total,
    }


def _products(section: Section, python: Path, case: Case) -> dict[str, Any]:
    """The limit, in the best of three forms."""
    with Worker(Entry("matmul", "", "matmul"), python) as worker:
        worker.make(case, section.folder / f"{case.name}.npz", round_seconds=1.0, platform=section.platform)
        ready = worker.ask("set_up")
        timed = worker.ask("round")
        return _scaled(case, timed) | {"form": ready["form"], "trained": ready["timed"]}
