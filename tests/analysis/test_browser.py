"""The pages in a real browser, with no network: what it makes of them, and what it complains of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bn_ablate.analysis import write_board, write_combined_claims, write_report
from tests.analysis.test_board import study

pytestmark = pytest.mark.slow


def opened(page: Path, profile: Path) -> str:
    """The page's document after its scripts ran; nothing may be written to the console."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs Chromium: apt-get install chromium"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    return done.stdout


def test_a_report_shows_the_verdicts_of_its_claims(tmp_path: Path) -> None:
    folder = study(tmp_path / "good", "C4", 0.05)
    write_report(folder)
    page = folder / "report.html"
    script = "<script>document.querySelector('#lane-table th button').click();document.title='sorted';</script></body>"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    shown = opened(page, tmp_path / "profile")
    claims = json.loads((folder / "claims.json").read_text())["hypotheses"]
    found = re.findall(r'id="hypothesis-([\w.]+)" data-verdict="(\w+)"', shown)
    assert found == [(claim["id"], claim["verdict"]) for claim in claims]
    assert "<title>sorted</title>" in shown
    assert 'aria-sort="ascending"' in shown


def test_the_board_shows_the_verdicts_of_all_claims(tmp_path: Path) -> None:
    folders = [study(tmp_path / "good", "C4", 0.05), study(tmp_path / "bad", "C6", -0.05)]
    said = write_combined_claims(folders, tmp_path / "claims.json")
    write_board(folders, said, tmp_path / "claims.html")
    shown = opened(tmp_path / "claims.html", tmp_path / "profile")
    found = re.findall(r'data-claim="(\w+)" data-verdict="(\w+)"', shown)
    assert found == [(claim["claim"], claim["verdict"]) for claim in said["claims"]]
