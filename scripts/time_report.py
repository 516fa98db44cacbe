"""How large the report of a large study is, and how long a browser takes to open it: of made-up lanes.

    .venv/bin/python scripts/time_report.py                # 19,440 lanes, the most that the explorer takes
    .venv/bin/python scripts/time_report.py 720 7200       # other numbers, in steps of 720

Needs Chromium. Seconds are of CPU time of the page's own thread, so that other work on the machine counts little: to
the first picture of the page, then to that of the explorer. The figures are left out; they are of cells, not of lanes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AXES: dict[str, list[Any]] = {
    "placement": ["none", "pre", "post"],
    "activation": ["sigmoid", "tanh", "relu", "gelu"],
    "dropout_rate": [0.0, 0.1, 0.2, 0.3, 0.5, 0.7],
}
FEW = AXES | {"activation": ["relu"], "dropout_rate": [0.0, 0.5]}


def page_of(lanes: int, folder: Path) -> str:
    """The report of a study of so many lanes: numbers of a few made-up ones, each times a number near 1."""
    import numpy as np
    import polars as pl

    from bn_ablate.analysis.pages.report import html_page
    from bn_ablate.config import build_study
    from bn_ablate.plan import make_plan
    from bn_ablate.results import Results
    from tests.synthetic import write_results

    rates = [round(0.01 * 1.12**i, 5) for i in range(lanes // 720)]
    table = {"name": "many", "seeds": 10, "axes": AXES | {"learning_rate": rates}}
    plan = make_plan(build_study(table))
    few = write_results(folder, {"name": "few", "seeds": 10, "axes": FEW})
    rows = pl.DataFrame([{"lane_id": lane.id, "seed": lane.seed, **lane.cell.levels} for lane in plan.lanes])
    random = np.random.default_rng(0)
    rows = rows.with_columns(like=pl.Series(random.choice(few.lanes["lane_id"].to_numpy(), rows.height)))

    def told_apart(frame: pl.DataFrame) -> pl.DataFrame:
        numbers = [name for name in frame.columns if frame[name].dtype.is_float() and name not in rows.columns]
        near = {name: pl.Series(random.normal(1.0, 0.02, frame.height)) for name in numbers}
        return frame.with_columns(**{name: pl.col(name) * near[name] for name in numbers})

    kept = [name for name in few.lanes.columns if name == "lane_id" or name not in rows.columns]
    made = rows.join(few.lanes.select(kept).rename({"lane_id": "like"}), on="like", maintain_order="left")
    curves = rows.select("lane_id", "like").join(few.history.rename({"lane_id": "like"}), on="like")
    results = Results(folder, few.manifest | {"study": "many", "config": plan.study.model_dump(mode="json")})
    results.__dict__.update(lanes=told_apart(made.drop("like")), history=told_apart(curves.drop("like")))
    return html_page(results, [], [], [])


def opened(page: Path, folder: Path) -> tuple[float, float]:
    """Seconds until the page is painted, and from then until the explorer is."""
    from tests.browser import browser

    painted = "new Promise(resume => requestAnimationFrame(() => setTimeout(resume)))"
    seconds = []
    with browser(folder) as driven:
        driven.call("Performance.enable", timeDomain="threadTicks")
        driven.open(page.as_uri())
        for act in ("0", "document.getElementById('explorer').open = true"):
            driven.run(act)
            if act != "0":
                driven.wait("document.getElementById('explorer').dataset.state === 'open'")
            driven.run(painted)
            numbers = driven.call("Performance.getMetrics")["metrics"]
            seconds += [metric["value"] for metric in numbers if metric["name"] == "TaskDuration"]
    return seconds[0], seconds[1] - seconds[0]


def main() -> int:
    """Print the table."""
    sys.path.insert(0, str(ROOT))
    print("| lanes | page, MB | opened, s | explorer, s |\n|--:|--:|--:|--:|")
    for lanes in [int(word) for word in sys.argv[1:]] or [19_440]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            page = folder / "report.html"
            page.write_text(page_of(lanes, folder / "few"), encoding="utf-8")
            seconds = opened(page, folder)
            print(f"| {lanes:,} | {page.stat().st_size / 1e6:.1f} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
