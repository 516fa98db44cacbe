"""The page of factors is what the declarations make it, and the README names every factor."""

from __future__ import annotations

import re

import factors_page

from bn_ablate.config.factors import FACTORS


def test_the_page_is_up_to_date() -> None:
    """If not: .venv/bin/python scripts/factors_page.py."""
    assert factors_page.PAGE.read_text(encoding="utf-8") == factors_page.page()


def test_the_readme_names_every_factor_under_its_kind() -> None:
    text = (factors_page.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    listed = re.search(
        r"Factors that share one compiled program(.*?)Factors with a program per\s+level:(.*?)\. \[", text, re.S | re.I
    )
    assert listed
    for part, traced in zip(listed.groups(), (True, False), strict=True):
        named = set(re.findall(r"`(\w+)`", part)) & set(FACTORS)
        assert named == {name for name, factor in FACTORS.items() if factor.traced == traced}
