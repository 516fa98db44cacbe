"""Parts of a study, trained each in a folder of its own, put together: checked first, and all that is wrong named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from bn_ablate.config.given import place
from bn_ablate.plan import Part, Plan, make_plan, portion
from bn_ablate.results.files import ResultsError, whole_folder
from bn_ablate.results.finished import held_in
from bn_ablate.results.manifest import MANIFEST, read_manifest
from bn_ablate.results.origins import Held
from bn_ablate.results.provenance import Bearing
from bn_ablate.results.reader import EXTENSIONS, Results, open_results
from bn_ablate.results.seal import damage, refuse_inside
from bn_ablate.results.standing import at_work
from bn_ablate.results.store import Store

OF_THE_WHOLE = ("study", "config", "config_sha256", "plan", "quick", "seeds", "data")
"""What the manifests of all parts say alike, and the merged one says too, beside what it says of its lanes."""

LAYOUTS = (
    "the parts were laid out differently (--strategy, --at-once, --memory, or other machines): where lanes go "
    "through a step together, their last bits depend on it"
)


def merge(folders: Sequence[str | Path], into: str | Path) -> Results:
    """Put the parts of a study in `folders` together in the results folder `into`; the parts stay as they are.

    The tables are those of one run, byte for byte, where lanes are trained one by one. It may be repeated.

    Raises:
        ResultsError: a part is missing, there twice, not complete, damaged, of another study, or of other code,
            versions or data than the others; or `into` holds something else, or lies in other results. All of it is
            named.
    """
    into = place(into)
    if not (into / MANIFEST).is_file():
        refuse_inside(into)
    opened = [_Opened(place(folder)) for folder in folders]
    problems = [problem for part in opened for problem in part.problems]
    if not problems:
        problems += _together(opened) if opened else ["there is no part to merge: give their folders"]
    if not problems:
        problems += _taken(into, opened[0])
    if problems:
        said = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ResultsError("\n  ".join([f"merge: {said}; nothing was written", *problems]))
    store, plan = Store(into), opened[0].plan
    with store.alone():
        for part in opened:
            store.keep_extensions(part.extensions)
            for shard in part.held:
                _copy(shard.folder, store.shards / shard.folder.name)
        store.publish(plan, _said(opened))
    return open_results(into)


@dataclass(frozen=True)
class _Opened:
    """A part, as it lies in its folder."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.path)

    @cached_property
    def part(self) -> Part:
        return Part(**self.manifest["part"])

    @cached_property
    def plan(self) -> Plan:
        """That of the whole study."""
        return make_plan(open_results(self.path).study)

    @cached_property
    def held(self) -> list[Held]:
        return held_in(self.path / "shards")

    @property
    def extensions(self) -> dict[str, bytes]:
        there = self.path / EXTENSIONS
        return {file.relative_to(there).as_posix(): file.read_bytes() for file in there.glob("*/*.py")}

    @property
    def problems(self) -> list[str]:
        """What is wrong with it by itself."""
        try:
            return [f"{self.path}: {problem}" for problem in self._problems()]
        except ResultsError as error:
            return [str(error)]

    def _problems(self) -> Iterator[str]:
        if "part" not in self.manifest:
            yield "is no part of a study; `bn-ablate run CONFIG --part I/N` trains one"
        elif busy := at_work(self.path):
            yield from busy
        elif (status := self.manifest.get("status")) != "complete":
            yield f"part {self.part} is not complete: its status is {status!r}; {_trains(self.part)} resumes it"
        elif hurt := damage(self.path):
            remedy = f"delete what is named, with the folder of its shard, and {_trains(self.part)} trains it anew"
            yield from (f"part {self.part}: {problem}; {remedy}" for problem in hurt)
        elif lacking := {lane.id for lane in portion(self.plan, self.part).lanes} - {
            lane for shard in self.held for lane in shard.lanes
        }:
            yield f"part {self.part} lacks {len(lacking)} of its lanes; {_trains(self.part)} trains them"


def _together(opened: Sequence[_Opened]) -> Iterator[str]:
    """What is wrong with parts, each of which is whole, beside each other."""
    first, *others = opened
    for other in others:
        if other.manifest.get("config_sha256") != first.manifest.get("config_sha256"):
            theirs, ours = other.manifest["config"], first.manifest["config"]
            keys = ", ".join(sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)))
            yield f"{other.path}: is of another study than {first.path}: they differ in {keys}"
        elif other.part.of != first.part.of:
            yield f"{other.path}: is part {other.part}, and {first.path} is {first.part}: they are of two divisions"
        elif strange := _strange(other, first):
            yield (
                f"{other.path}: part {other.part} is of other code, versions or data than part {first.part}: {strange}"
                "; train one of them again with what trained the other"
            )
    in_order = sorted(opened, key=lambda part: part.part)
    for one, two in pairwise(in_order):
        if one.part == two.part:
            yield f"{two.path}: is part {two.part}, and so is {one.path}: give one of them"
    there = {part.part.number for part in opened}
    for number in range(1, first.part.of + 1):
        if number not in there:
            part = Part(number, first.part.of)
            yield f"part {part} is missing; {_trains(part)} trains it"


def _strange(part: _Opened, first: _Opened) -> str:
    """How the shards of `part` differ from the first shard of `first` in what must not differ, each way once."""
    records = [shard.record for shard in part.held]
    (known, *_) = [shard.record for shard in first.held]
    if known is None or None in records:
        return "a shard does not say what it is of"
    found = (
        known.provenance.differences(record.provenance, Bearing.CODE, Bearing.DATA, now="here")
        for record in records
        if record
    )
    return ", ".join(dict.fromkeys(said for several in found for said in several))


def _taken(into: Path, first: _Opened) -> Iterator[str]:
    """What is in the way of results of the study in `into`."""
    if (into / MANIFEST).is_file():
        there = read_manifest(into)
        if "part" in there or there.get("config_sha256") != first.manifest.get("config_sha256"):
            yield f"{into}: holds other results; give another folder with --into"
    elif into.exists() and not into.is_dir():
        yield f"{into}: is no folder; give another place with --into"
    elif into.is_dir() and any(file.name not in ("shards", EXTENSIONS, "lock") for file in into.iterdir()):
        yield f"{into}: is a folder of something else; give another with --into"


def _copy(shard: Path, target: Path) -> None:
    """Copy a finished shard, whole or not at all; what is read of it afterwards is held to its checksums."""
    if not target.exists():
        with whole_folder(target) as folder:
            for file in shard.iterdir():
                shutil.copyfile(file, folder / file.name)


def _said(opened: Sequence[_Opened]) -> dict[str, Any]:
    """The manifest of the whole: what all parts say, with their times added up."""
    manifests = [part.manifest for part in sorted(opened, key=lambda part: part.part)]
    times: dict[str, float] = {}
    for manifest in manifests:
        for name, seconds in manifest.get("timing", {}).items():
            times[name] = round(times.get(name, 0) + seconds, 3)
    layouts = [manifest.get("layout") for manifest in manifests]
    alike = all(layout == layouts[0] for layout in layouts)
    notes = (f"part {part.part}: {note}" for part in opened for note in part.manifest.get("notes", ()))
    return {
        **{key: manifests[0][key] for key in OF_THE_WHOLE if key in manifests[0]},
        **({"layout": layouts[0]} if alike and layouts[0] else {}),
        "status": "complete",
        "merged": [str(part.part) for part in sorted(opened, key=lambda part: part.part)],
        "programs": max(manifest.get("programs", 0) for manifest in manifests),
        "timing": times,
        "peak_memory_bytes": max(manifest.get("peak_memory_bytes", 0) for manifest in manifests),
        "created": min(manifest.get("created", "") for manifest in manifests),
        "finished": max(manifest.get("finished", "") for manifest in manifests),
        "notes": [*([] if alike else [LAYOUTS]), *notes],
    }


def _trains(part: Part) -> str:
    return f"`bn-ablate run CONFIG --part {part}`"
