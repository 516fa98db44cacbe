"""What is printed goes out, or a sentence says why not; and what is written replaces files alone."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_line import ROOT, Bn, command

MAIN = "import sys; from bn_ablate.cli.main import main; sys.exit(main())"
UNWRITTEN = "bn-ablate: the output cannot be written: No space left on device\n"
SMOKE = ROOT / "configs" / "smoke.toml"
FEW = [
    ("--help",),  # which leaves by `SystemExit`
    pytest.param(("plan", SMOKE, "--set", "hypotheses=[]"), marks=pytest.mark.slow),
    pytest.param(("sweep-config", SMOKE), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("words", FEW, ids=("--help", "plan", "sweep-config"))
def test_a_full_disk_behind_the_output_is_a_sentence(words: tuple[object, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            **command("-c", MAIN, *words), stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (1, UNWRITTEN)


@pytest.mark.parametrize("words", FEW[:2], ids=("--help", "plan"))
def test_an_output_that_nobody_reads_ends_the_command_without_a_word(words: tuple[object, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    start = command("-c", MAIN, *words)
    done = subprocess.run(**start, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_closed_streams_are_no_defect(tmp_path: Path) -> None:
    """Else the first file that is opened would get the number of standard output, and what is printed."""
    start = command("-c", MAIN, "sweep-config", SMOKE, "--output", tmp_path / "sweep.yaml")
    done = subprocess.run(["bash", "-c", '"$@" <&- >&- 2>&-', "bash", *start["args"]], env=start["env"], check=False)
    assert done.returncode == 0
    assert (tmp_path / "sweep.yaml").read_text().startswith("# smoke: ")
    with Path("/dev/full").open("w") as full:
        start = command("-c", MAIN, "plan", tmp_path / "no.toml")
        done = subprocess.run(**start, stdout=subprocess.PIPE, stderr=full, check=False, timeout=60)  # type: ignore[assignment]
    assert done.returncode == 2


def test_a_device_stays_one(bn: Bn, config: Path, results: Path, tmp_path: Path) -> None:
    """By root, too."""
    assert bn("sweep-config", config, "--output", "/dev/null") == (0, "", "")
    done = bn("sweep-config", config, "--output", "/dev/full")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("bn-ablate: /dev/full: cannot be written (No space left on device)")
    plain = bn("sweep-config", config)
    assert bn("sweep-config", config, "--output", "/dev/stdout") == plain
    for path in ("/dev/null", "/dev/stdout"):
        done = bn("claims", results / "tiny", "--output", path)
        assert (done.status, done.out) == (2, "")
        assert "is no file; the page of the claims goes beside one" in done.err
    assert bn("sweep-config", config, "--output", tmp_path).status == 1
    assert all(stat.S_ISCHR(Path(path).stat().st_mode) for path in ("/dev/null", "/dev/full"))
    assert not list(Path("/dev").glob("*.html"))
