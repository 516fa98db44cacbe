"""Reports of a study as it was: kept beside the report of what it is now, when it has changed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from bn_ablate.results import Results, ResultsError

EARLIER = "earlier"
"""The folder of a results folder that has one folder for each study that it was, by the start of that study's hash."""
DIGITS = 8
KEPT = ("report.html", "claims.json")


def keep_last(results: Results) -> None:
    """Put the report and the verdicts that are here aside, if they are of another study than the results are now."""
    there = [results.path / name for name in KEPT if (results.path / name).is_file()]
    was = _judged(results.path / "claims.json")
    if len(there) < len(KEPT) or not was or was == results.manifest.get("config_sha256"):
        return
    folder = results.path / EARLIER / was[:DIGITS]
    folder.mkdir(parents=True, exist_ok=True)
    for file in there:
        file.replace(folder / file.name)


def earlier_reports(path: Path) -> list[str]:
    """The starts of the hashes of the studies of which a results folder keeps reports."""
    return sorted(report.parent.name for report in (path / EARLIER).glob("*/report.html"))


def report_at(path: Path, sha256: str) -> Path:
    """The report on the study whose hash begins so, as the manifest's `config_sha256` does.

    Raises:
        ResultsError: there is none, or there are several; the message lists those that are kept.
    """
    now = _judged(path / "claims.json")
    reports = {name: path / EARLIER / name / "report.html" for name in earlier_reports(path)}
    if now and (path / "report.html").is_file():
        reports[now[:DIGITS]] = path / "report.html"
    found = [report for name, report in reports.items() if name.startswith(sha256[:DIGITS])]
    if len(found) != 1:
        kept = ", ".join(reports) or "none"
        raise ResultsError(
            f"{path}: has {'several reports' if found else 'no report'} on a study whose hash begins with {sha256!r}; "
            f"those kept are on {kept}"
        )
    return found[0]


def _judged(claims: Path) -> str:
    """The hash of the study that the verdicts in a file are on; nothing where the file does not say."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(claims.read_text(encoding="utf-8"))["judged"]["config_sha256"]
        return said if isinstance(said, str) and said.isalnum() else ""
    return ""
