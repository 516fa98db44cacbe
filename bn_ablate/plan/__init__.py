"""From a study to what is to be trained: cells × seeds, lanes and their ids, groups that share a program; no JAX."""

from bn_ablate.plan.division import Part, divisible, divisions, portion, spread
from bn_ablate.plan.grid import Cell, Group, Lane, Plan, cells_of, first_look, make_plan
from bn_ablate.plan.identity import LANE_FORMAT, canonical_json, lane_id
from bn_ablate.plan.parts import LONGEST_NAME, part_name, quick, quick_plan, restrict
from bn_ablate.plan.progress import RunProgress, clock

__all__ = [
    "LANE_FORMAT",
    "LONGEST_NAME",
    "Cell",
    "Group",
    "Lane",
    "Part",
    "Plan",
    "RunProgress",
    "canonical_json",
    "cells_of",
    "clock",
    "divisible",
    "divisions",
    "first_look",
    "lane_id",
    "make_plan",
    "part_name",
    "portion",
    "quick",
    "quick_plan",
    "restrict",
    "spread",
]
