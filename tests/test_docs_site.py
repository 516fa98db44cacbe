"""The documentation: its generated pages are up to date, each has a place on the site, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import commands_page
import keys_page
import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")


@pytest.mark.parametrize("script", [keys_page, commands_page])
def test_a_page_is_up_to_date(script: ModuleType) -> None:
    """If not: .venv/bin/python scripts/keys_page.py, or commands_page.py."""
    assert script.PAGE.read_text(encoding="utf-8") == script.page()


def test_every_page_has_its_place_on_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = re.findall(r": (\S+\.md)$", nav, re.MULTILINE)
    made = {"index.md", "tour.md", "studies.md", "CONTRIBUTING.md", "CHANGELOG.md"}
    assert len(listed) == len(set(listed))
    assert set(listed) == {page.relative_to(ROOT / "docs").as_posix() for page in DOCS} | made


def anchors(page: Path) -> set[str]:
    """What its headings are linked by."""
    heads = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
