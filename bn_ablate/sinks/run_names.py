"""What runs are called in Weights & Biases: ids for machines, short readable names for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from bn_ablate.config.factors import FACTORS

SEPARATOR = "·"
LONGEST_ID = 64
LONGEST_NAME = 128
LONGEST_TAG = 64


def cell_name(levels: Mapping[str, Any]) -> str:
    """The readable name of a cell, such as `pre·relu·p0.2`; `base` when the study has no axes.

    Factors stand in the order of their declarations, so that a cell has one name in all studies; an axis that is no
    factor, of results that another version wrote, is written out.
    """
    prefixes = {axis: FACTORS[axis].prefix for axis in FACTORS if axis in levels}
    prefixes |= {axis: f"{axis}=" for axis in levels if axis not in FACTORS}
    return SEPARATOR.join(f"{prefix}{levels[axis]}" for axis, prefix in prefixes.items()) or "base"


def lane_name(levels: Mapping[str, Any], seed: int) -> str:
    """The readable name of a lane, such as `pre·relu·p0.2·s3`."""
    return shortened(f"{cell_name(levels)}{SEPARATOR}s{seed}", LONGEST_NAME)


def group_name(study: str, levels: Mapping[str, Any]) -> str:
    """The name of the group that holds the seeds of one cell; it names the study, since a project may hold several."""
    return shortened(f"{study} {SEPARATOR} {cell_name(levels)}", LONGEST_NAME)


def run_id(study: str, what: str) -> str:
    """The id of the run of `what` (a lane id, or `study`): the same on every machine and at every sync.

    A study's name has only characters that W&B allows in ids.
    """
    return f"{shortened(study, LONGEST_ID - 1 - len(what))}-{what}"


def artifact_name(study: str) -> str:
    """The name of the artifact that holds a study's results folder."""
    return f"{study}-results"


def tags(words: Iterable[str]) -> tuple[str, ...]:
    """`words` as tags: none empty, none twice, none too long."""
    return tuple(dict.fromkeys(word[:LONGEST_TAG] for word in words if word))


def shortened(text: str, longest: int) -> str:
    """`text`, or its beginning and a hash where it is too long: different texts stay different."""
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{text[: longest - 11]}-{digest}"
