"""The pages in a real browser, with no network: what it makes of them, and what it complains of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bn_ablate.analysis import write_board, write_combined_claims, write_report
from bn_ablate.analysis.pages import report
from bn_ablate.results import open_results
from tests.analysis.test_board import study
from tests.browser import CONTRAST, Browser, browser

pytestmark = pytest.mark.slow


def opened(page: Path, profile: Path, *options: str) -> str:
    """The page's document after its scripts ran; nothing may be written to the console."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser, "this test needs Chromium: apt-get install chromium"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        *options,
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    return done.stdout


def scripted(page: Path, script: str) -> Path:
    """The page with a script of ours at its end, beside it."""
    copy = page.with_name("scripted.html")
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
    copy.write_text(text, encoding="utf-8")
    return copy


def test_a_report_shows_the_verdicts_of_its_claims(tmp_path: Path) -> None:
    folder = study(tmp_path / "good", "C4", 0.05)
    write_report(folder)
    page = folder / "report.html"
    script = "document.querySelector('#lane-table th button').click(); document.title = 'sorted';"
    shown = opened(scripted(page, script), tmp_path / "profile")
    claims = json.loads((folder / "claims.json").read_text())["hypotheses"]
    found = re.findall(r'id="hypothesis-([\w.]+)" data-verdict="(\w+)"', shown)
    assert found == [(claim["id"], claim["verdict"]) for claim in claims]
    assert "<title>sorted</title>" in shown
    assert 'aria-sort="ascending"' in shown
    narrow = scripted(page, "document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`;")
    (width, window) = re.findall(r"<title>(\d+) of (\d+)</title>", opened(narrow, tmp_path / "profile", NARROW))[0]
    assert int(width) <= int(window) <= 500  # nothing but figures and tables is wider, which scroll by themselves


def test_the_board_shows_the_verdicts_of_all_claims(tmp_path: Path) -> None:
    folders = [study(tmp_path / "good", "C4", 0.05), study(tmp_path / "bad", "C6", -0.05)]
    said = write_combined_claims(folders, tmp_path / "claims.json")
    write_board(folders, said, tmp_path / "claims.html")
    shown = opened(tmp_path / "claims.html", tmp_path / "profile")
    found = re.findall(r'data-claim="(\w+)" data-verdict="(\w+)"', shown)
    assert found == [(claim["claim"], claim["verdict"]) for claim in said["claims"]]


NARROW = "--window-size=400,900"
EXPLORE = """{
const root = document.getElementById("explorer"), at = name => document.getElementById(`explorer-${name}`);
const said = text => {
  const line = document.createElement("p");
  line.className = "said";
  line.textContent = text;
  document.body.append(line);
};
const later = () => new Promise(resume => setTimeout(resume, 300));
const drag = async (canvas, from, to) => {
  const box = canvas.getBoundingClientRect();
  const fire = (type, [x, y]) => canvas.dispatchEvent(
    new MouseEvent(type, {bubbles: true, clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
  fire("mousemove", from);
  fire("mousedown", from);
  for (const t of [0.3, 0.6, 1]) fire("mousemove", from.map((value, i) => value + t * (to[i] - value)));
  fire("mouseup", to);
  await later();
};
const state = () => said(
  [at("count").textContent, ...[...at("kept").children].map(item => item.textContent)].join("|"));
new MutationObserver(async (_, observer) => {
  if (root.dataset.state !== "open") return;
  observer.disconnect();
  state();
  await drag(document.querySelector("#explorer-scatter canvas"), [0.15, 0.06], [0.55, 0.8]);
  state();
  for (const button of at("kept").querySelectorAll("button")) button.click();
  while (at("kept").firstChild) at("kept").querySelector("button").click();
  at("low").firstChild.value = "2";
  at("keep").requestSubmit();
  state();
  at("lanes").querySelector("button").click();
  said(at("lane").querySelector("pre").textContent);
  HTMLAnchorElement.prototype.click = function() { said(`${this.download} ${this.href.slice(0, 22)}`); };
  root.querySelector("[data-save=parallel]").click();
}).observe(root, {attributes: true});
root.open = true;
}"""


def test_the_explorer_is_brushed_filtered_by_keys_and_saved(tmp_path: Path) -> None:
    folder = study(tmp_path / "good", "C4", 0.05)
    write_report(folder)
    page = scripted(folder / "report.html", EXPLORE)
    shown = opened(page, tmp_path / "profile", "--virtual-time-budget=20000")
    whole, brushed, kept, command, saved = re.findall(r'<p class="said">(.*?)</p>', shown)
    lanes = open_results(folder).lanes.height
    assert whole == f"{lanes} lanes of {lanes}"
    count, *filters = brushed.split("|")
    assert 0 < int(count.split()[0]) < lanes
    assert filters[0].startswith("dropout rate: ")
    assert kept == f"{lanes // 3} lanes of {lanes}|placement: BN after ✕"
    assert re.fullmatch(r"bn-ablate run \S+ --only placement=post,dropout_rate=[\d.]+,seed=\d+", command)
    assert saved == "good-parallel.png data:image/png;base64,"


def looked_at(driven: Browser, page: Path, width: int, dark: bool) -> int:
    """Open the page with all that can be opened, and find nothing wrong with how it looks; the number of its texts."""
    driven.open(page.as_uri(), width, dark=dark)
    driven.run("for (const details of document.querySelectorAll('details')) details.open = true")
    if driven.run("!!document.getElementById('explorer')"):
        driven.wait("document.getElementById('explorer').dataset.state === 'open'")
    assert driven.run("document.documentElement.scrollWidth") <= driven.run("innerWidth")
    texts = driven.run(CONTRAST.read_text(encoding="utf-8"))
    assert texts["found"] == {}
    assert driven.said == []
    return int(texts["seen"])


def test_pages_fit_phones_and_are_legible_in_light_and_in_the_dark(tmp_path: Path) -> None:
    folder = study(tmp_path / "good", "C4", 0.05)
    said = write_combined_claims([folder], tmp_path / "claims.json")
    write_report(folder)
    write_board([folder], said, tmp_path / "claims.html")
    with browser(tmp_path) as driven:
        for page, fewest in [(folder / "report.html", 400), (tmp_path / "claims.html", 30)]:
            for width in (400, 1200):
                for dark in (False, True):
                    assert looked_at(driven, page, width, dark) > fewest


def test_a_long_table_shows_some_rows_and_sorts_filters_and_describes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FIRST_ROWS", 5)
    folder = study(tmp_path / "good", "C4", 0.05)
    write_report(folder)
    lanes = open_results(folder).lanes
    with browser(tmp_path) as driven:
        driven.open((folder / "report.html").as_uri())
        shown = "document.querySelectorAll('#lane-table tbody tr').length"
        assert driven.run(shown) == 5
        driven.run("document.querySelector('#lane-table-more button').click()")
        driven.wait(f"{shown} === 10")
        driven.run("document.querySelectorAll('#lane-table th button')[2].click()")  # by seed
        driven.wait("document.querySelector('#lane-table th[aria-sort]')")
        seeds = driven.run(
            "[...document.querySelectorAll('#lane-table tbody tr')].map(row => row.cells[2].textContent)"
        )
        assert seeds == [str(seed) for seed in lanes["seed"].sort().head(10)]
        driven.run("filter.value = 'post'; filter.dispatchEvent(new Event('input'))")
        posts = lanes.filter(placement="post").height
        assert driven.run("document.getElementById('shown').textContent") == f"{posts} lanes"
        assert driven.run("document.getElementById('lane-table-more').textContent").startswith(
            f"5 of {posts} are shown."
        )
        driven.run("document.querySelector('#lane-table tbody tr').focus()")  # its cell is one that is not shown
        driven.wait("!note.hidden")
        assert driven.run("note.textContent").startswith("placementpost")
        assert driven.said == []


HOVER = """{
const rows = lanes.tBodies[0].rows;
const said = text => {
  const line = document.createElement("p");
  line.className = "said";
  line.textContent = text;
  document.body.append(line);
};
const state = row => [note.hidden, row.getAttribute("aria-describedby"), document.querySelectorAll("tr.same").length,
  note.textContent].join("|");
said(state(rows[25]));
rows[25].dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
said(state(rows[25]));
lanes.dispatchEvent(new MouseEvent("mouseleave"));
said(state(rows[25]));
rows[0].focus();
rows[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}));
said(state(rows[1]) + "|" + [...rows].indexOf(document.activeElement));
filter.value = "post";
filter.dispatchEvent(new Event("input"));
said([rows.length, rows[0].tabIndex, rows[0].cells[0].textContent, rows[1].tabIndex].join("|"));
}"""


def test_pointing_at_a_lane_or_reaching_it_by_key_shows_its_cell(tmp_path: Path) -> None:
    folder = study(tmp_path / "good", "C4", 0.05)
    write_report(folder)
    shown = opened(scripted(folder / "report.html", HOVER), tmp_path / "profile")
    before, over, left, by_key, filtered = re.findall(r'<p class="said">(.*?)</p>', shown)
    assert before.startswith("true||0|")
    hidden, described, same, note = over.split("|")
    assert (hidden, described, same) == ("false", "cell-note", "10")  # the ten seeds of one cell
    assert note.startswith("placementpredropout rate0lanes10diverged0test accuracy, %")
    mean = 100 * (0.8 + 0.05 + 0.0012 * 4.5)
    assert f"{mean:.2f} [" in note
    assert left.startswith("true||0|")
    assert by_key.startswith("false|cell-note|10|placementnone")
    assert by_key.endswith("|1")
    assert filtered == "20|0|post|-1"
