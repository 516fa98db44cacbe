"""Finished results as data frames."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bn_ablate.config.given import place
from bn_ablate.config.names import NAME
from bn_ablate.results.files import ResultsError, read_table, scan_table, sha256_of
from bn_ablate.results.manifest import MANIFEST, read_manifest, written_by
from bn_ablate.results.origins import Mixture, mixture
from bn_ablate.results.recording.columns import ORIGIN, misfit, published_schema
from bn_ablate.results.seal import refuse_links
from bn_ablate.results.standing import at_work, caveats, incomplete

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.config.schema import Study


ID = r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}"
"""What hypotheses are called, expanded ones too, whose levels may have a plus: macros of TeX get these names."""


EXTENSIONS = "extensions"
"""The folder of a user's own parts, which nothing here ever runs by itself."""

NUMBER = (int, float, type(None))
CLAIM: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "statement", "kind", "metric", "verdict", "reason", "estimand"), str),
    **dict.fromkeys(("estimate", "p", "p_adjusted", "margin"), NUMBER),
    "interval": (list, type(None)),
    "claim": (str, type(None)),
    "primary": bool,
    "n_seeds": int,
}
"""What every record of `claims.json` says, and what kind of value that is."""


@dataclass(frozen=True, repr=False)
class Results:
    """A results folder: its manifest, and its tables as data frames, each checked against the seal when first read."""

    path: Path
    manifest: dict[str, Any]

    def __repr__(self) -> str:
        return f"Results({self.name}: {self.manifest.get('status')}; {self.path})"

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.manifest["study"])

    @cached_property
    def study(self) -> Study:
        """The study as it was resolved for the run."""
        from bn_ablate.config import build_study

        config = json.loads(json.dumps(self.manifest["config"]))
        return build_study(config, source=str(self.path / MANIFEST), trusted=False)

    @property
    def caveats(self) -> list[str]:
        """What whoever is shown these results has to know: see `bn_ablate.results.standing`."""
        return [*at_work(self.path), *caveats(self.manifest)]

    @property
    def incomplete(self) -> list[str]:
        """Why these are not the results of a whole study, in sentences: unfinished, a part, quick; none, as a rule."""
        return incomplete(self.manifest)

    @property
    def extensions(self) -> list[Path]:
        """The files of a user's own parts that lie in the folder, whose content is that which the study names."""
        wanted = {extension.sha256 for extension in self.study.extensions}
        files = sorted((self.path / EXTENSIONS).glob("*/*.py"))
        return [file for file in files if sha256_of(file) in wanted]

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Axis -> levels, in the study's order."""
        return self.study.axes

    @property
    def seeds_per_cell(self) -> str:
        """How many seeds a cell has, as text; with seeds until decided, the fewest and the most: `10`, `10 to 40`."""
        looks = self.manifest.get("looks")
        numbers = sorted(map(int, looks["cells"])) if looks else [len(self.study.seed_list)]
        return " to ".join(f"{n:,}" for n in dict.fromkeys((numbers[0], numbers[-1])))

    @property
    def mixture(self) -> Mixture | None:
        """What there is to say of lanes of more than one origin."""
        return mixture(self.manifest)

    def scan(self, table: str) -> pl.LazyFrame:
        """One of the tables, checked against the seal but not read yet: for tables that may not fit into memory.

        Raises:
            ResultsError: it is missing, was changed, or has other columns than it should.
        """
        import polars as pl

        file = self._checked(table)
        try:
            found = scan_table(file)
            self._fitting(table, file, found.head(0).collect())
        except pl.exceptions.PolarsError as error:
            raise self._unread(file, error) from None
        return found

    def of_lanes(self, table: str, lanes: pl.DataFrame, where: pl.Expr | bool = True) -> pl.DataFrame:
        """The rows of `table` for `lanes`, with the columns of both, `where` that holds; no others are in memory.

        Raises:
            ResultsError: as `scan` does.
        """
        rows = self.scan(table).filter(where)
        return rows.join(lanes.lazy(), on="lane_id", maintain_order="left").collect(engine="streaming")

    @cached_property
    def lanes(self) -> pl.DataFrame:
        """A row per cell and seed: a lane has one for each cell that it stands for."""
        return self._table("lanes")

    @cached_property
    def networks(self) -> pl.DataFrame:
        """A row per lane, at the first of its cells."""
        return self.lanes.unique("lane_id", keep="first", maintain_order=True)

    @cached_property
    def history(self) -> pl.DataFrame:
        """A row per lane and measured step."""
        return self._table("history")

    @cached_property
    def layers(self) -> pl.DataFrame:
        """A row per lane, measured step and hidden layer."""
        return self._table("layers")

    @cached_property
    def histograms(self) -> pl.DataFrame:
        """A row per lane, layer and site, at the first and the last measurement."""
        return self._table("histograms")

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """A record per hypothesis; empty before the analysis has run.

        Raises:
            ResultsError: they cannot be read, or are verdicts on other lanes or another study than what is here now.
        """
        file = self.path / "claims.json"
        if not file.is_file():
            return []
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            records = list(said["hypotheses"])
            if strange := [record["id"] for record in records if not re.fullmatch(ID, record["id"])]:
                raise ValueError(f"{strange[0]!r} is no id of a hypothesis")
            for record in records:
                if missing := [key for key in CLAIM if not isinstance(record.get(key, ...), CLAIM[key])]:
                    raise ValueError(f"the record of {record['id']!r} has no {missing[0]}, or one of another kind")
            judged = said.get("judged")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ResultsError(
                f"{file}: cannot be read ({error}), written by {written_by(self.manifest)}; "
                f"`bn-ablate report {self.path}` writes it again"
            ) from None
        if self._outdated:
            raise ResultsError(f"{file}: {self._outdated}")
        if judged and "files" in self.manifest and judged != self.judged:
            raise ResultsError(
                f"{file}: has verdicts on other lanes, or of another study, than are here now; "
                f"`bn-ablate report {self.path}` judges again"
            )
        return records

    @property
    def judged(self) -> dict[str, str | None]:
        """What verdicts on these results are verdicts on: hashes of the study and of its lanes."""
        lanes = self.manifest.get("files", {}).get("lanes.parquet")
        return {"config_sha256": self.manifest.get("config_sha256"), "lanes_sha256": lanes}

    def with_claims(self, claims: list[dict[str, Any]]) -> Results:
        """The same results, with these records in place of those in `claims.json`."""
        same = Results(self.path, self.manifest)
        vars(same).update(vars(self) | {"claims": claims})
        return same

    @property
    def _outdated(self) -> str:
        """What is wrong with every file here, where a run has begun anew and has not written its tables yet."""
        if "files" in self.manifest or self.manifest.get("status") == "complete":
            return ""
        return f"is of an earlier run than the manifest is: {'; '.join(self.caveats)}"

    def _table(self, name: str) -> pl.DataFrame:
        import polars as pl

        file = self._checked(name)
        try:
            rows = read_table(file)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._unread(file, error) from None
        self._fitting(name, file, rows)
        return rows

    def _unread(self, file: Path, error: Exception) -> ResultsError:
        return ResultsError(f"{file}: cannot be read ({error}); `bn-ablate run` writes it again")

    def _fitting(self, name: str, file: Path, rows: pl.DataFrame) -> None:
        """Refuse rows that are not those of the table `name`."""
        optional, also = ([ORIGIN], self.axes) if name == "lanes" else ([], {})
        if wrong := misfit(rows, published_schema(name, self.axes, self.study.column_measures), optional, also):
            by = written_by(self.manifest)
            raise ResultsError(f"{file}: {wrong}; written by {by}; `bn-ablate run` writes it again")

    def _checked(self, name: str) -> Path:
        """The file of a table, which is there and as the seal says."""
        file = self.path / f"{name}.parquet"
        sealed = self.manifest.get("files", {}).get(file.name)
        if self._outdated:
            raise ResultsError(f"{file}: {self._outdated}")
        if not file.is_file():
            raise ResultsError(f"{file}: is missing; `bn-ablate run` writes it again from the finished shards")
        if sealed is not None and sha256_of(file) != sealed:
            raise ResultsError(f"{file}: its content has changed since it was written; `bn-ablate run` writes it again")
        return file


def open_results(path: str | Path) -> Results:
    """The results in the folder `path`.

    Raises:
        ResultsError: it is not a results folder, a link is in it, or its manifest cannot be read.
    """
    path = place(path)
    manifest = read_manifest(path)
    refuse_links(path)
    if missing := {"format", "study", "config", "seeds"} - manifest.keys():
        raise ResultsError(
            f"{path / 'manifest.json'}: says nothing of {', '.join(sorted(missing))}; `bn-ablate run` writes it again"
        )
    if not (isinstance(manifest["study"], str) and re.fullmatch(NAME, manifest["study"])):
        raise ResultsError(f"{path / 'manifest.json'}: {manifest['study']!r} is no name of a study")
    return Results(path, manifest)
