"""Writes requirements/*.txt from the dependencies in pyproject.toml. Needs uv on PATH and a network.

    .venv/bin/python scripts/update_locks.py              changes only what pyproject.toml forces to change
    .venv/bin/python scripts/update_locks.py -P wandb     also brings wandb up to date
    .venv/bin/python scripts/update_locks.py --upgrade    brings everything up to date

All arguments go to `uv pip compile`. A lock pins every release with hashes, for every system and for each Python from
the oldest that it is for (setup.OLDEST_PYTHON): where the newest release of a package leaves an old Python out, that
Python keeps the last one it can have.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib

from setup import BUILD_LOCK, OLDEST_PYTHON, ROOT, lock_file


def lock(name: str, *arguments: str, needs: str = "") -> None:
    """Write the lock `name` by the `arguments` of uv; its standard input says the `needs` where no file does.

    Raises:
        subprocess.CalledProcessError: no releases satisfy the needs; uv says so on the terminal.
    """
    file = lock_file(name)
    options = ("--universal", "--python-version", OLDEST_PYTHON.get(name, OLDEST_PYTHON["cpu"]), "--generate-hashes")
    forks = ("--fork-strategy", "requires-python")
    looks = ("--quiet", "--no-emit-index-url", "--no-header", "--no-annotate")
    command = ("uv", "pip", "compile", *options, *forks, *looks, "--output-file", str(file), *sys.argv[1:], *arguments)
    subprocess.run(command, input=needs, text=True, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    print(f"{file.relative_to(ROOT)}: {file.read_text().count('==')} releases")


def main() -> int:
    """Write all locks; returns the exit status."""
    if not shutil.which("uv"):
        print("update_locks: uv is not on PATH; install it first, for instance with 'pipx install uv'", file=sys.stderr)
        return 1
    project = ("--extra", "dev", "pyproject.toml")
    build = ("--constraint", str(BUILD_LOCK))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    requires, extras = declared["build-system"]["requires"], declared["project"]["optional-dependencies"]
    try:
        lock("build", "-", needs="\n".join(requires))
        lock("cpu", *build, *project)
        # The locks of the accelerators add packages to the CPU's and change none of them.
        for device in ("cuda", "tpu"):
            lock(device, "--extra", device, "--constraint", str(lock_file("cpu")), *project)
        lock("docs", "-", needs="\n".join(extras["docs"]))  # which reads the sources, and needs none of the rest
        lock("oldest", "--resolution", "lowest-direct", *build, *project)  # holds the bounds of pyproject.toml to tests
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main())
