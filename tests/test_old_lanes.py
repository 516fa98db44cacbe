"""Lanes of other code, versions or data in a real run; and lanes trained again in the way that they were stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

import bn_ablate as bn
from bn_ablate import data
from bn_ablate.analysis import write_report
from bn_ablate.results import finished, provenance, verify
from bn_ablate.runs.rerun import verify_lanes
from tests.cli.command_line import TABLE
from tests.results.made_up import listing
from tests.synthetic import write_results

OTHER = "ab" * 32


def study(**axes: list[Any]) -> bn.Study:
    return bn.build_study(TABLE | {"name": "old", "axes": axes, "hypotheses": []})


def origins(results: bn.Results) -> list[tuple[int, bool, str]]:
    return [(origin["lanes"], origin["kept"], origin["code"]) for origin in results.manifest["origins"]]


@pytest.mark.usefixtures("draw_little")
def test_old_lanes_are_refused_then_kept_then_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two, four = study(learning_rate=[0.01, 0.1]), study(learning_rate=[0.01, 0.1, 0.2, 0.3])
    first = bn.run(two, tmp_path)
    ours = first.manifest["origins"][0]["code"]
    assert origins(first) == [(4, False, ours)]
    assert first.manifest["origins"][0]["data"] == first.manifest["data"]["sha256"]
    before = listing(first.path)
    monkeypatch.setattr(provenance, "source_hash", lambda: OTHER)
    monkeypatch.setattr(finished, "source_hash", lambda: OTHER)
    for some in (four, two):
        told = rf"4 lanes of this study are there already, trained by other code .* {ours[:12]}, now abababababab\."
        with pytest.raises(bn.ResultsError, match=told):
            bn.run(some, tmp_path, on_progress=lambda progress: pytest.fail("it trains"))
    assert listing(first.path) == before

    kept = bn.run(four, tmp_path, old="keep")
    of_lane = [origins(kept)[i] for i in kept.lanes["origin"]]
    assert of_lane == [(4, True, ours)] * 4 + [(4, False, OTHER)] * 4
    assert verify(kept.path) == []
    assert "4 of 8 lanes were kept (--keep-old)" in (write_report(kept.path)[-1]).read_text()
    again: list[Any] = []
    assert bn.run(four, tmp_path, old="keep", on_progress=again.append).lanes.equals(kept.lanes)
    assert again == []

    seen: list[bn.RunProgress] = []
    anew = bn.run(four, tmp_path, old="retrain", on_progress=seen.append)
    assert (seen[0].lanes, seen[-1].lanes) == (4, 8)
    assert origins(anew) == [(8, False, OTHER)]
    assert_frame_equal(anew.lanes, kept.lanes.drop("origin"), rel_tol=1e-4)  # the code was the same, after all
    write_report(anew.path)
    assert verify(anew.path) == []

    loaded = data.load("digits")
    monkeypatch.setattr(data, "load", lambda *_: replace(loaded, sha256="cd" * 32))
    for old in ("refuse", "keep"):
        with pytest.raises(bn.ResultsError, match=r"8 lanes .* on other data: .*, now cdcdcdcdcdcd.*never mixed"):
            bn.run(four, tmp_path, old=old)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strategy", "at_once"),
    [pytest.param("map", 2, marks=pytest.mark.slow), pytest.param("vmap", 1, marks=pytest.mark.slow)],
)
def test_lanes_are_trained_again_in_the_way_they_were_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: Any, at_once: int
) -> None:
    """Blocks of several lanes round by their size: three cells in blocks of two, or all lanes at once.

    Where they were stored by other code, that is said.
    """
    some = study(placement=["none", "pre", "post"])
    stored = bn.run(some, tmp_path, strategy=strategy, at_once=at_once)
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "source_hash", lambda: OTHER)
        (again,) = verify_lanes(stored.path, 1, draw=1)
    assert again.differences.is_empty(), again.differences
    assert again.changed.startswith("sources ")
    assert again.changed.endswith(", now abababababab")
    part = bn.rerun(some, {"placement": "post", "seed": 1}, tmp_path)
    assert part.differences is not None
    assert part.differences["differing"].sum() == 0
    assert part.changed == ""
    asked = bn.rerun(some, {"placement": "post", "seed": 1}, tmp_path, strategy="map", at_once=1)
    assert asked.changed == ("strategy vmap, now map" if strategy == "vmap" else "lanes at once 2, now 1")


def test_results_are_not_written_into_results(tmp_path: Path) -> None:
    inner = write_results(tmp_path / "old", {"name": "old", "seeds": 2, "axes": {"placement": ["none", "pre"]}})
    with pytest.raises(bn.ResultsError, match="a results folder, whose files are sealed"):
        bn.run(bn.build_study(TABLE | {"name": "inside"}), inner.path)
