"""The audit of the locks: what it finds, and that it does without a network."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import audit
import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCK = """\
fine==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
holey==2.1 ; python_version < "3.12" \\
    --hash=sha256:cc
"""


class Advisories(BaseHTTPRequestHandler):
    """Knows something about version 2.1 of anything."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        known = [{"vulns": [{"id": "X-1"}, {"id": "X-2"}]} if query["version"] == "2.1" else {} for query in asked]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": known}).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_known_vulnerabilities_and_missing_hashes_are_reported(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    assert audit.main([str(lock)], service) == 1
    assert capsys.readouterr().out.splitlines() == [
        "audit: 2 releases looked up, 1 with known vulnerabilities",
        "holey 2.1: X-1, X-2",
    ]
    lock.write_text("fine==1.0\n")
    assert audit.main([str(lock)], service) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["lock.txt: fine has no hash"]


def test_without_a_network_the_locks_pass_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([], "http://127.0.0.1:9/") == 0
    assert "releases not looked up, since http://127.0.0.1:9/ gave no answer" in capsys.readouterr().out
