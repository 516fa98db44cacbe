"""Asks OSV (osv.dev) whether a release that the locks pin has a known vulnerability; also that every pin has hashes.

    .venv/bin/python scripts/audit.py [LOCK ...]

Ends with 1 where something is found. Without a network it says so, and ends with 0: not to have asked is no fault.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICE = "https://api.osv.dev/v1/querybatch"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")


def pins_of(lock: Path) -> tuple[set[tuple[str, str]], list[str]]:
    """(name, version) of all releases in a lock file, and the names of those without a hash."""
    pins, bare = set(), []
    for entry in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if found := PIN.match(entry):
            pins.add((found[1], found[2]))
            if "--hash=sha256:" not in entry:
                bare.append(f"{lock.name}: {found[1]} has no hash")
    return pins, bare


def known_problems(pins: list[tuple[str, str]], service: str) -> dict[tuple[str, str], list[str]]:
    """The ids of the advisories on each of `pins` that has any.

    Raises:
        OSError: the service cannot be reached.
        ValueError: it gave no answer that can be understood.
    """
    queries = [{"version": version, "package": {"name": name, "ecosystem": "PyPI"}} for name, version in pins]
    request = urllib.request.Request(
        service, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        results = json.load(answer)
    if not isinstance(results, dict) or len(results.get("results", ())) != len(pins):
        raise ValueError("an answer of another form")
    found = zip(pins, results["results"], strict=True)
    return {pin: [known["id"] for known in result["vulns"]] for pin, result in found if result.get("vulns")}


def main(argv: list[str] | None = None, service: str = SERVICE) -> int:
    """Audit the locks; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locks", nargs="*", type=Path, default=sorted((ROOT / "requirements").glob("*.txt")))
    pins: set[tuple[str, str]] = set()
    problems: list[str] = []
    for lock in parser.parse_args(argv).locks:
        of_lock, bare = pins_of(lock)
        pins |= of_lock
        problems += bare
    try:
        advisories = known_problems(sorted(pins), service)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"audit: {len(pins)} releases not looked up, since {service} gave no answer ({error}); try again later")
    else:
        problems += [f"{name} {version}: {', '.join(ids)}" for (name, version), ids in advisories.items()]
        print(f"audit: {len(pins)} releases looked up, {len(advisories)} with known vulnerabilities")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
