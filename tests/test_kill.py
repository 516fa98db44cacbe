"""Runs that are killed and started again end in the bytes of one that was left alone."""

from __future__ import annotations

import subprocess

import pytest

from tests.cli.command_line import ROOT, command


@pytest.mark.slow
def test_killed_runs_end_where_others_do() -> None:
    start = command(ROOT / "scripts" / "kill_test.py", "--kills", 5, "--seed", 7)
    done = subprocess.run(**start, capture_output=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills in" in done.stdout.splitlines()[-1]
