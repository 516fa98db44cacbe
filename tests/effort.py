"""How many examples of a property are tried: few by `make test`, many by `make test-all`."""

from __future__ import annotations

import hypothesis

FEW, MANY = "few", "many"
"""Hypothesis's profiles; `--hypothesis-profile=many` says the second."""

hypothesis.settings.register_profile(FEW, deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.register_profile(MANY, deadline=None, derandomize=True, max_examples=100)


def examples(few: int, many: int) -> int:
    """`few`, or `many` where they were asked for: for properties that are dear, or have many ways to fail."""
    return many if hypothesis.settings.get_current_profile_name() == MANY else few
