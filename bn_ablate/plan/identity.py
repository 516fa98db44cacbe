"""The id of a lane: a hash of what it is."""

from __future__ import annotations

import hashlib
import json
import operator
from typing import Any

from bn_ablate.config.lane import LaneSettings

LANE_FORMAT = 1
"""Raised when the same settings and seed no longer give the same lane, so that no old result passes for a new one."""


def lane_id(settings: LaneSettings, seed: int) -> str:
    """A hash of all that determines a lane, whose settings are in their canonical form: 16 hexadecimal digits.

    Only what differs from the schema's defaults is hashed, so that a new key with a default leaves old ids alone;
    when a default or what it means changes, `LANE_FORMAT` is raised. Which other levels or seeds the study has plays
    no part.
    """
    return id_at(hashed(settings), seed)


def hashed(settings: LaneSettings) -> str:
    """What a lane's id is a hash of, besides its seed: `settings`, in their canonical form, as canonical JSON."""
    return canonical_json(settings.model_dump(mode="json", exclude_defaults=True))


def id_at(settings: str, seed: int) -> str:
    """The id of the lane at `seed` of `settings`, as `hashed` gives them: once for all seeds, which takes the time."""
    said = f'{{"format":{LANE_FORMAT},"seed":{operator.index(seed)},"settings":{settings}}}'  # canonical JSON too
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """JSON with one spelling: sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
