"""The documentation: its generated pages are up to date, each has a place on the site, and links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import commands_page
import keys_page
import pytest

from tests.browser import CONTRAST, browser

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCS_PYTHON = ROOT / ".venv-docs" / "bin" / "python"
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


@pytest.mark.slow
@pytest.mark.skipif(not DOCS_PYTHON.exists(), reason="`make docs` was not called: there is no .venv-docs")
def test_the_site_is_read_and_searched_from_disk_on_phones_and_in_the_dark(tmp_path: Path) -> None:
    """Nothing is fetched from elsewhere, nothing is wider than the page, and all of it is legible."""
    site = tmp_path / "site"
    words = [DOCS_PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site]
    subprocess.run(list(map(str, words)), cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)
    pages = [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]  # whose links are a server's
    assert len(pages) > 30
    with browser(tmp_path) as driven:
        for page in pages:
            for width, dark in ((400, False), (1200, True)):
                driven.open(page.as_uri(), width, dark=dark)
                assert driven.run("document.documentElement.scrollWidth") <= width, page
                assert driven.run(CONTRAST.read_text(encoding="utf-8"))["found"] == {}, page
        driven.open((site / "index.html").as_uri())
        driven.run("document.querySelector('.md-search__input').focus()")
        for letter in "vanishing":
            driven.call("Input.insertText", text=letter)
        driven.wait("document.querySelectorAll('.md-search-result__item').length > 0")
        assert driven.run("document.querySelector('.md-search-result__list').textContent.includes('vanishing')")
        assert driven.said == []
