"""What becomes of a study's verdicts when it is run with other seeds: which stay, which flip, which become decided.

    nice .venv/bin/python scripts/change_of_seeds.py configs/smoke.toml --sets 10 --set seeds=12
    nice .venv/bin/python scripts/change_of_seeds.py configs/c8_coverage.toml --results change \
        --set 'seeds={first = 14, most = 112, until = "decided"}'

The study is run with its own seeds, and then with `--sets` sets of as many others, from 7000 on; lanes that are there
are not trained again. Verdicts are those of the study alone, by Holm over its hypotheses. The table has a row for each
other set.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import bn_ablate as bn
from bn_ablate.config import Study
from bn_ablate.engine import set_up

FROM, APART = 7000, 10_000
"""The first seed of the first other set, and how far apart the sets begin."""


class Change(NamedTuple):
    """What became of the verdicts of a study with other seeds.

    Attributes:
        stay: decided ones that are the same.
        lost: decided ones that are inconclusive now.
        flipped: decided ones that are decided otherwise now.
        gained: inconclusive ones that are decided now.
        open: those that are inconclusive in both.
    """

    stay: int
    lost: int
    flipped: int
    gained: int
    open: int

    @property
    def decided(self) -> int:
        """How many were decided before."""
        return self.stay + self.lost + self.flipped


def change(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Change:
    """What became of the verdicts `before`, by the id of the hypothesis."""
    now = {record["id"]: record["verdict"] for record in after}
    counts = Counter(_became(record["verdict"], now[record["id"]]) for record in before)
    return Change(*(counts[field] for field in Change._fields))


def _became(old: str, new: str) -> str:
    if old == new:
        return "open" if old == "inconclusive" else "stay"
    return "gained" if old == "inconclusive" else "lost" if new == "inconclusive" else "flipped"


def other_seeds(study: Study, number: int) -> Study:
    """`study` with set `number` of as many other seeds, from 0 on."""
    first = FROM + APART * number
    table = study.model_dump(mode="json")
    if study.looks:
        table["seeds"]["start"] = first
    else:
        table["seeds"] = [*range(first, first + len(study.seed_list))]
    return bn.build_study(table | {"name": f"{study.name[:50]}.seeds-{first}"})


def main(config: Path, sets: int, overrides: list[str], results: Path) -> None:
    """Run the study with all sets of seeds, and print the table."""
    set_up("auto")
    study = bn.load_study(config, overrides)
    before = bn.run(study, results, progress=False)
    total = Change(0, 0, 0, 0, 0)
    print("| seeds | lanes | decided before | stay | lost | flipped | become decided | open in both |")
    print("|---|---|---|---|---|---|---|---|")
    for number in range(sets):
        after = bn.run(other_seeds(study, number), results, progress=False)
        found = change(before.claims, after.claims)
        total = Change(*map(sum, zip(total, found, strict=True)))
        print(_row(f"from {FROM + APART * number}", after.networks.height, found), flush=True)
    print(_row("all", before.networks.height, total))
    if total.decided:
        print(f"\nOf {total.decided} decided verdicts {total.stay} stay: {total.stay / total.decided:.1%}")


def _row(name: str, lanes: int, found: Change) -> str:
    stay, lost, flipped, gained, left = found
    return f"| {name} | {lanes} | {found.decided} | {stay} | {lost} | {flipped} | {gained} | {left} |"


if __name__ == "__main__":
    parser = ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path, default=Path("results"))
    main(**vars(parser.parse_args()))
