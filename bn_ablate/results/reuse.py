"""Which stored lanes may be used again, beside what is trained now, and what is said where they may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from bn_ablate.results.files import ResultsError
from bn_ablate.results.origins import UNKNOWN, Held, by_shard, device_of, differs, lanes_text, seeds_text
from bn_ablate.results.provenance import Bearing, Provenance

Old = Literal["refuse", "retrain", "keep"]
"""What becomes of stored lanes of other code or versions, and of seeds that were begun on another kind of device: an
error, trained anew, or kept as they are."""


def usable(
    found: Mapping[str, Held],
    planned: Mapping[str, int],
    here: Provenance,
    old: Old,
    folder: Path,
    data: str | None = None,
) -> dict[str, Held]:
    """Those lanes of `found`, with the shards that hold them, that may stand beside lanes trained `here`.

    Args:
        found: what `holders` gives.
        planned: every lane of the plan, with its seed: those that are not in `found` are to be trained here.
        here: the provenance of what is trained now.
        old: what becomes of lanes of other code or versions, and of seeds whose lanes are of several kinds of device.
        folder: the results folder, for messages.
        data: the hash of the data that the folder's manifest names, for shards that say nothing themselves.

    Raises:
        ResultsError: there are lanes of other data; or of other code, or of seeds on several kinds of device, and `old`
            is `refuse`.
    """
    foreign, stale = set[str](), set[str]()
    for shard, lanes in by_shard(found):
        if differs(shard, here, Bearing.DATA) if shard.record else data not in (None, here.data):
            foreign.update(lanes)
        elif differs(shard, here, Bearing.CODE):
            stale.update(lanes)
    if old == "retrain":
        same = {lane: shard for lane, shard in found.items() if lane not in foreign | stale}
        split = _split(same, planned, here)
        return {
            lane: shard for lane, shard in same.items() if planned[lane] not in split or device_of(shard) == here.device
        }
    if foreign:
        raise ResultsError(
            f"{folder}: {lanes_text(len(foreign))} of this study {_are(foreign)} there already, trained on other data: "
            f"{_reasons(found, foreign, here, Bearing.DATA)}. Lanes of different data are never mixed: choose another "
            "folder with --results, bring the data back, or train them anew with --retrain"
        )
    if stale and old == "refuse":
        raise ResultsError(
            f"{folder}: {lanes_text(len(stale))} of this study {_are(stale)} there already, trained by other code or "
            f"versions: {_reasons(found, stale, here, Bearing.CODE)}. The same command with --retrain trains them "
            'anew; with --keep-old they stay, and the report says so (from Python: old="retrain" or old="keep")'
        )
    if old == "refuse" and (split := _split(found, planned, here)):
        raise ResultsError(f"{folder}: {_of_split(found, planned, split, here)}")
    return dict(found)


def _split(found: Mapping[str, Held], planned: Mapping[str, int], here: Provenance) -> set[int]:
    """The seeds whose lanes, those to be trained `here` included, are of several kinds of device."""
    kinds: dict[int, set[str | None]] = {}
    for shard, lanes in by_shard(found):
        for lane in lanes:
            kinds.setdefault(planned[lane], set()).add(device_of(shard))
    for lane, seed in planned.items():
        if lane not in found:
            kinds.setdefault(seed, set()).add(here.device)
    return {seed for seed, of_seed in kinds.items() if len(of_seed) > 1}


def _of_split(found: Mapping[str, Held], planned: Mapping[str, int], split: set[int], here: Provenance) -> str:
    """What there is to say of the seeds in `split`, and what to do about them."""
    elsewhere = {
        lane: device_of(s) for lane, s in found.items() if planned[lane] in split and device_of(s) != here.device
    }
    kinds = " and ".join(sorted({device or "an unknown device" for device in elsewhere.values()}))
    seeds = seeds_text(sorted(split))
    return (
        f"{lanes_text(len(elsewhere))} of {seeds} {_are(elsewhere)} there already, trained on {kinds}, and this is "
        f"{here.device}: what is paired by {seeds} would compare the devices as well. Resume on the kind of device "
        "that they were begun on, or train other seeds here. The same command with --retrain trains these anew here, "
        'whole; with --keep-old they are mixed, and the report says so (from Python: old="retrain" or old="keep")'
    )


def _reasons(found: Mapping[str, Held], lanes: Collection[str], here: Provenance, bearing: Bearing) -> str:
    """What differs of `lanes`, with how many lanes each."""
    counts: Counter[str] = Counter()
    for shard, some in by_shard({lane: found[lane] for lane in lanes}):
        record = shard.record
        why = ", ".join(record.provenance.differences(here, bearing)) if record else UNKNOWN[bearing]
        counts[why] += len(some)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(
        f"{lanes_text(n)}: {why}" for why, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _are(lanes: Collection[str]) -> str:
    return "is" if len(lanes) == 1 else "are"
