"""The origins of lanes: what a shard stores of its own, which shard a lane is taken from, what is said of a mixture."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.results.files import write_text
from bn_ablate.results.provenance import Bearing, Provenance, sha256_text, short

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from bn_ablate.engine import Shard, Way

RECORD, RECORD_FORMAT = "provenance.json", 1

UNKNOWN = {
    Bearing.CODE: "a version that stored no provenance",
    Bearing.DATA: "by the manifest; the shards say nothing themselves",
}
"""What there is to say of a shard that has no record, as those have that were written before there were any."""

MOST_NAMED = 8
"""Seeds that a sentence names, at most."""

CLAIMED = ("git", "lock", "packages", "python", "system", "device", "strategy", "at_once")
"""What a manifest says of its lanes as a whole, where that is true of each."""


@dataclass(frozen=True)
class Record:
    """Where a shard comes from.

    Attributes:
        provenance: what its numbers depend on.
        layout: `devices`, `room` and `seed_room`, with which its lanes can be trained in the same shapes once more.
        environment: git, lock, packages, Python, system and device, for people.
        written_by: the version that wrote it.
        measures: those on request, a user's own among them, that its tables only have columns for where asked.
    """

    provenance: Provenance
    layout: dict[str, int]
    environment: dict[str, Any]
    written_by: str = WRITTEN_BY
    measures: tuple[str, ...] = ()

    def of(self, way: Way, shard: Shard) -> Record:
        """The same of `shard`, which was trained in that `way`."""
        provenance = replace(self.provenance, strategy=way.strategy, at_once=way.at_once)
        layout = {"devices": way.devices, "room": shard.room, "seed_room": shard.seed_room}
        return replace(self, provenance=provenance, layout=layout, measures=shard.cells[0].settings.column_measures)

    def name(self, shard: str) -> str:
        """What to call the folder of the shard with the id `shard`: another where its lanes are of other origin."""
        return sha256_text(shard + self.provenance.key)[:16]

    def write(self, folder: Path) -> Path:
        """Write it into the folder of the shard."""
        file = folder / RECORD
        write_text(file, json.dumps({"format": RECORD_FORMAT, **asdict(self)}, indent=1))
        return file

    @property
    def claims(self) -> dict[str, Any]:
        """What it says of its lanes, by the keys of a manifest."""
        said = self.environment | {"strategy": self.provenance.strategy, "at_once": self.provenance.at_once}
        return {key: said[key] for key in CLAIMED if key in said}


def read_record(file: Path) -> Record:
    """The record in a shard's `file`.

    Raises:
        ValueError: it is none, or one of another format.
    """
    said = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        raise ValueError("is no table")
    if (found := said.pop("format", None)) != RECORD_FORMAT:
        by = f", written by {said['written_by']}," if "written_by" in said else ""
        raise ValueError(f"has format {found!r}{by} and this version reads {RECORD_FORMAT}")
    return _record_shape().validate_json(json.dumps(said), strict=True)


@cache
def _record_shape() -> TypeAdapter[Record]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


class Held(NamedTuple):
    """A finished shard: its folder, its lanes seed by seed, and where it comes from (None: unknown)."""

    folder: Path
    lanes: tuple[str, ...]
    record: Record | None

    @property
    def described(self) -> dict[str, Any] | None:
        """What `engine.shards_of` trains its lanes in the same shapes from; None where that was not recorded."""
        from bn_ablate.engine import Way

        if self.record is None:
            return None
        provenance, layout = self.record.provenance, self.record.layout
        way = Way(provenance.strategy, provenance.at_once, layout["devices"])  # type: ignore[arg-type]
        return {"lanes": self.lanes, "room": layout["room"], "seed_room": layout["seed_room"], "way": way}


def holders(held: Iterable[Held], lanes: Collection[str], here: Provenance | None = None) -> dict[str, Held]:
    """For each of `lanes` that a shard holds, that shard.

    Where several do, it is one of the same code, versions and data as `here`, of the same kind of device if there is
    such a one, else the one that has most of them.
    """
    wanted = set(lanes)

    def rank(shard: Held) -> tuple[bool, bool, int, str]:
        other = here is not None and differs(shard, here, Bearing.CODE, Bearing.DATA)
        elsewhere = here is not None and device_of(shard) != here.device
        return other, elsewhere, -len(wanted.intersection(shard.lanes)), shard.folder.name

    found: dict[str, Held] = {}
    for shard in sorted(held, key=rank):
        for lane in wanted.intersection(shard.lanes):
            found.setdefault(lane, shard)
    return found


def by_shard(found: Mapping[str, Held]) -> list[tuple[Held, list[str]]]:
    """The shards that `found` has for lanes, in the order of these, each with its lanes."""
    lanes: dict[Path, tuple[Held, list[str]]] = {}
    for lane, shard in found.items():
        lanes.setdefault(shard.folder, (shard, []))[1].append(lane)
    return list(lanes.values())


def seeds_text(seeds: Sequence[int]) -> str:
    """Some seeds in words, those of many in short."""
    shown = [f"{seed}" for seed in seeds[:MOST_NAMED]]
    if len(seeds) > MOST_NAMED:
        shown.append(f"{len(seeds) - MOST_NAMED:,} more")
    return f"seed {shown[0]}" if len(seeds) == 1 else f"the seeds {', '.join(shown[:-1])} and {shown[-1]}"


def origins_of(
    used: Mapping[str, Held], seeds: Mapping[str, int], here: Provenance | None = None
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The origins of the lanes in `used`, those of most lanes first, and for each lane the place of its own.

    Each is a provenance with the number of its `lanes`, the `git` states that they were trained at, and `kept`: whether
    it is of other code or versions than `here`. With several kinds of device, the seeds of its lanes too: `seeds` has
    that of each lane.
    """
    by_key: dict[str, list[str]] = {}
    for shard, some in by_shard(used):
        by_key.setdefault(shard.record.provenance.key if shard.record else "", []).extend(some)
    ordered = sorted(by_key.values(), key=lambda lanes: (-len(lanes), used[min(lanes)].folder.name))
    origins = []
    for lanes in ordered:
        shards = by_shard({lane: used[lane] for lane in lanes})
        states = {json.dumps(shard.record.environment.get("git")) for shard, _ in shards if shard.record}
        shard = used[lanes[0]]
        said = asdict(shard.record.provenance) if shard.record else dict.fromkeys(Provenance.__annotations__)
        kept = here is not None and differs(shard, here, Bearing.CODE)
        origins.append({"lanes": len(lanes), "kept": kept, **said, "git": [json.loads(s) for s in sorted(states)]})
    if len({origin["device"] for origin in origins}) > 1:
        for lanes, origin in zip(ordered, origins, strict=True):
            origin["seeds"] = sorted({seeds[lane] for lane in lanes})
    return origins, {lane: place for place, lanes in enumerate(ordered) for lane in lanes}


def said_of(manifest: dict[str, Any], records: Collection[Record | None]) -> dict[str, Any]:
    """`manifest`, saying of its lanes as a whole only what all of their `records` agree on."""
    if not records:
        return manifest
    first, *others = [record.claims if record else {} for record in records]
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    return {key: value for key, value in manifest.items() if key not in CLAIMED} | common


def changes(before: Mapping[str, Held], now: Mapping[str, Held]) -> str:
    """How the provenance of lanes that were trained twice differs, each way once; empty where it does not."""
    found: dict[str, None] = {}
    for lane in before.keys() & now.keys():
        old, new = before[lane].record, now[lane].record
        if old is None:
            found[UNKNOWN[Bearing.CODE]] = None
        elif new is not None:
            found |= dict.fromkeys(old.provenance.differences(new.provenance))
    return "; ".join(found)


class Mixture(NamedTuple):
    """What there is to say of lanes of more than one origin.

    Attributes:
        statement: what it means for their numbers.
        heads, rows: a row per origin, with what differs between them; the first column is `origin` in `lanes.parquet`.
    """

    statement: str
    heads: list[str]
    rows: list[list[str]]

    @property
    def lines(self) -> list[str]:
        """The origins as lines of text."""
        origins = (zip(self.heads[1:], row[1:], strict=True) for row in self.rows)
        return ["  " + ", ".join(f"{head} {text}" for head, text in row) for row in origins]


def mixture(manifest: Mapping[str, Any]) -> Mixture | None:
    """What a manifest says of the origins of its lanes; None where they have one, which nothing was kept of."""
    origins: list[dict[str, Any]] = manifest.get("origins", [])
    kept = sum(origin["lanes"] for origin in origins if origin["kept"])
    if len(origins) < 2 and not kept:
        return None
    total = sum(origin["lanes"] for origin in origins)
    if kept:
        statement = (
            f"{kept:,} of {lanes_text(total)} {'was' if kept == 1 else 'were'} kept (--keep-old), though trained by "
            "other code or versions than the rest would be now: numbers may differ by more than rounding"
        )
    else:
        statement = (
            f"the {lanes_text(total)} have {len(origins)} origins, with the same code, versions and data: their "
            "numbers agree as far as float32 lets training agree, and not to the bit"
        )
    statement += _across_devices(origins)
    shown = {
        field.name: field.metadata["words"]
        for field in fields(Provenance)
        if len({origin[field.name] for origin in origins}) > 1 or (kept and field.name == "code")
    }
    rows = [
        [
            str(place),
            f"{origin['lanes']:,}{' (kept)' if origin['kept'] else ''}",
            *("unknown" if origin[name] is None else short(origin[name]) for name in shown),
            ", ".join(map(_commit, origin["git"])) or "unknown",
        ]
        for place, origin in enumerate(origins)
    ]
    return Mixture(statement, ["origin", "lanes", *shown.values(), "git"], rows)


def _across_devices(origins: Collection[Mapping[str, Any]]) -> str:
    """What it means for pairs by seed that lanes are of several kinds of device, where they are."""
    kinds: dict[int, set[str]] = {}
    for origin in origins:
        for seed in origin.get("seeds", ()):
            kinds.setdefault(seed, set()).add(origin["device"])
    mixed = [seed for seed in sorted(kinds) if len(kinds[seed]) > 1]
    if mixed:
        said = "are of several kinds of device, and what is paired by them compares these as well"
        return f"; lanes of {seeds_text(mixed)} {said}"
    return "; all lanes of a seed are of one kind of device, and so is what is paired" if kinds else ""


def _commit(git: Mapping[str, Any] | None) -> str:
    if not git or not git.get("sha"):
        return "no commit"
    return f"{git['sha'][:10]}{' with changes' if git.get('dirty') else ''}"


def differs(shard: Held, here: Provenance, *bearings: Bearing) -> bool:
    """Whether a shard is of other provenance than `here` in what has one of these bearings."""
    return shard.record is None or bool(shard.record.provenance.differences(here, *bearings))


def device_of(shard: Held) -> str | None:
    """The kind of device that trained it, where that is known."""
    return shard.record.provenance.device if shard.record else None


def lanes_text(n: int) -> str:
    """So many lanes, in words."""
    return f"{n:,} lane{'' if n == 1 else 's'}"
