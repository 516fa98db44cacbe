"""The page of factors is what the declarations make it."""

from __future__ import annotations

import factors_page


def test_the_page_is_up_to_date() -> None:
    """If not: .venv/bin/python scripts/factors_page.py."""
    assert factors_page.PAGE.read_text(encoding="utf-8") == factors_page.page()
