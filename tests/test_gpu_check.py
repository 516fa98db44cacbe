"""What `scripts/gpu_check.sh` does apart from measuring; that is rehearsed with `--tiny --platform cpu`."""

from __future__ import annotations

import json
import re
from typing import Any

import gpu_check
import pytest
from benching.workers import ROOT
from gpu_checking import supervise
from gpu_checking.outline import CALLS, SECTIONS, TESTS
from gpu_checking.table import lines_of

PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
MEASURED = json.loads((ROOT / "docs" / "gpu_h200.json").read_text(encoding="utf-8"))


def test_every_section_is_in_a_call_that_has_time_for_it() -> None:
    called = [name for names in CALLS.values() for name in names]
    assert sorted(called) == sorted([*(part.name for part in SECTIONS), TESTS])
    for names in CALLS.values():
        seconds = sum(part.most_seconds for part in SECTIONS if part.name in names)
        assert seconds <= 60 * gpu_check._parser().parse_args([]).minutes - gpu_check.GRACE_SECONDS


def test_calls_and_sections_are_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    parse = gpu_check._parser().parse_args
    assert parse([]).sections == CALLS["first"]
    assert parse(["--sections", "second,limits"]).sections == (*CALLS["second"], "limits")
    assert parse(["--platform", "gpu"]).platform == "cuda"
    with pytest.raises(SystemExit):
        parse(["--sections", "numbers"])
    assert "numbers: no such section; there are limits, numerics," in capsys.readouterr().err


def test_only_flags_of_xla_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "bfloat16")
    assert supervise.given_flags() == {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}
    monkeypatch.delenv("XLA_FLAGS")
    assert supervise.given_flags() == {}


def study(precision: str, names: list[str], accuracy: list[float], estimate: float) -> dict[str, Any]:
    return {
        "lanes": len(names),
        "steps": 2,
        "finished_seconds": 1.5,
        "lane_names": names,
        "metrics": {"final_test_accuracy": accuracy},
        "verdicts": [{"id": "H", "estimate": estimate, "verdict": precision}],
    }


def test_the_table_says_what_is_not_accurate_and_what_two_precisions_differ_in() -> None:
    rows = {
        "device, vmap": {"within": True, "tolerance": 1e-5, "parameters": 1e-6, "bits": "a"},
        "device, map": {"within": False, "tolerance": 1e-5, "parameters": 1e-3, "bits": "b"},
        "device, vmap, tensorfloat32": {"within": None, "tolerance": None, "parameters": 0.5, "bits": "c"},
    }
    held: dict[str, Any] = {
        "numerics": {"mlp": {"against float64": rows, "between": {}}},
        "lanes": {"bits in another process": {"mlp": "z"}},
        "study": {
            "float32": study("supported", ["a", "b"], [0.5, 0.75], 0.25),
            "tensorfloat32": study("contradicted", ["b", "a"], [0.5, 0.5], 0.5),
        },
        "study-triton": {"float32": study("supported", ["a", "b"], [0.5, 1.0], 0.25)},
    }
    lines = lines_of(held)
    assert "mlp: device, map: NOT WITHIN TOLERANCE, within False, tolerance 1e-05, parameters 0.001, bits b" in lines
    assert "numerics: 1 of 2 rows within tolerance" in lines
    assert "mlp, the same bits in another process: False" in lines
    pair = "study, tensorfloat32 : study, float32"
    assert f"final_test_accuracy, {pair}: most 0.25, mean 0.125" in lines
    assert f"estimates, {pair}: most 0.25; verdicts that differ: H" in lines
    assert "final_test_accuracy, study-triton, float32 : study, float32: most 0.25, mean 0.125" in lines


def test_the_page_has_the_figures_that_were_measured() -> None:
    """Those by which an outsider judges, from the file beside it."""
    latest, earlier = MEASURED["float32"], MEASURED["first"]
    page = PAGE.partition("## On a GPU")[2]
    finished = {
        (section, precision): latest[section][precision]["finished_seconds"]
        for section in ("study", "study-untuned", "study-no-triton")
        for precision in ("float32", "tensorfloat32")
    }
    for seconds in finished.values():
        assert f"{seconds:.1f} s" in page
    assert f"| {earlier['rivals']['bn_ablate']['finished_seconds']:.1f} s |" in page
    for name, digits in {"PyTorch stacked, tf32": 1, "JAX scan": 0, "Flax loop": 0, "PyTorch eager, tf32": 0}.items():
        assert f"| {earlier['rivals'][name]['finished_seconds']:.{digits}f} s |" in page
    stacked = earlier["rivals"]["PyTorch stacked, tf32"]["finished_seconds"]
    assert f"**{stacked / finished['study-no-triton', 'tensorfloat32']:.2f}×**" in page
    assert f"ours in float32: {stacked / finished['study-no-triton', 'float32']:.2f}×" in page
    for n in (1, 8, 64, 512, 4096):
        in_float32, in_tf32 = (call["lanes"][f"vmap, {n} lanes"]["step_ms"] for call in (latest, earlier))
        (row,) = re.findall(rf"^\| {n} \| ({in_float32:.3f} .* {in_tf32:.3f}) ", page, re.MULTILINE)
        assert row
    one, many = (latest["lanes"][f"vmap, {n} lanes"]["step_ms"] for n in (1, 512))
    assert f"**{many / one:.1f}×**" in page
    for found in (*latest["memory"].values(), latest["study"]["float32"]):
        if isinstance(found, dict):
            assert f" | {found['peak_bytes'] / 1e9:.2f} GB | " in page
    tests = latest["tests"]
    assert f"{tests['passed']} of {tests['passed'] + len(tests['failed'])} passed" in page
    for failed in tests["failed"]:
        assert failed.rpartition("::")[2].partition("[stride")[0] in page


def test_the_page_has_the_figures_of_the_second_card() -> None:
    measured = json.loads((ROOT / "docs" / "gpu_h100.json").read_text(encoding="utf-8"))
    page = PAGE.partition("### On an H100")[2].partition("\n### ")[0]
    for run in measured["study"].values():
        if isinstance(run, dict):
            assert f"{run['finished_seconds']:.1f} s" in page
    ours, stacked = (
        measured["rivals"][name]["finished_seconds"] for name in ("bn_ablate, float32", "PyTorch stacked, float32")
    )
    assert f"| {ours:.1f} s |" in page
    assert f"| {stacked:.1f} s |" in page
    assert f"{stacked / ours:.2f} times as long" in page
    kernels, by_lane = measured["kernels"], measured["lane by lane"]["kernels"]
    residual = "ResNet-20, 8 lanes, vmap"
    assert f"start {kernels[f'{residual}: kernels']['kernels_in_a_step']:,.0f} kernels in" in page
    for found in (kernels[residual], kernels[f"{residual}, tensorfloat32"], by_lane[residual]):
        assert f"{found['step_ms']:.1f} ms" in page
    images = measured["real-images"]["p6_resnet20"]
    assert f"trained in\n{images['timing']['train_seconds']:.1f} s" in page
    assert f"{images['lane_steps_per_second']:.0f} network-steps a second" in page
