"""Compiled programs on disk: the next process traces nothing, with the same bits; what is not right is not loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from bn_ablate.engine import executables
from bn_ablate.engine.executables import Executable

STUDY = """
import hashlib, sys
from pathlib import Path
import jax, numpy as np
import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.engine import Engine, set_up, shards_of
from bn_ablate.plan import make_plan

set_up("cpu", host_devices=2, cache=Path(sys.argv[1]))
traced = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **said: traced.append(event) if event == "/jax/core/compile/jaxpr_trace_duration" else None
)
table = {"name": "x", "seeds": 2, "model": {"depth": 1, "width": 2}, "train": {"steps": 3}, "measure": {"every": 2}}
(shard,) = shards_of(make_plan(bn.build_study(table | {"axes": {"placement": ["none", "pre"]}})))
done = Engine(load("digits")).run(shard, keep_states=True)
leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((done.states, done.observations))]
print(len(traced), hashlib.sha256(b"".join(leaves)).hexdigest())
"""


def process(folder: Path, **environment: str) -> list[str]:
    """What the study prints in a process of its own, whose compiled programs are kept in `folder`."""
    command = [sys.executable, "-c", STUDY, str(folder)]
    with_these = os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=with_these)
    return done.stdout.split()


def test_a_second_process_traces_nothing_and_gives_the_same_bits(tmp_path: Path) -> None:
    (some, bits), again = process(tmp_path), process(tmp_path)
    assert int(some) > 0
    assert again == ["0", bits]


@pytest.mark.slow
def test_nor_does_it_where_the_first_found_its_programs_in_the_cache_of_jax(tmp_path: Path) -> None:
    """From which nothing can be kept once more."""
    of_jax = {"JAX_COMPILATION_CACHE_DIR": f"{tmp_path}/jax", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    _, bits = process(tmp_path, **of_jax)
    shutil.rmtree(tmp_path / "executables")
    (some, same), again = process(tmp_path, **of_jax), process(tmp_path, **of_jax)
    assert int(some) > 0
    assert [[same], again] == [[bits], ["0", bits]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = list(executables._folders)
    executables.keep_in(tmp_path / "kept")
    yield tmp_path / "kept"
    executables.keep_in(before[0] if before else None)


@pytest.fixture(scope="module")
def compiled() -> Any:
    return jax.jit(lambda x: 2 * x + 1).lower(np.float32(0)).compile()


def kept(compiled: Any, key: str = "twice and one") -> Executable:
    executable = Executable(key, (jax.devices("cpu")[0],))
    executable.save(compiled)
    return executable


def test_what_is_kept_is_loaded_and_the_folder_is_the_users_alone(folder: Path, compiled: Any) -> None:
    executable = kept(compiled)
    assert executable.is_there
    loaded = executable.load()
    assert loaded is not None
    assert loaded(np.float32(3)) == 7
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]
    assert not Executable("another", executable.devices).is_there


def damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def another_machines(file: Path) -> None:
    """Under the name that this machine's would have."""
    file.write_bytes(file.read_bytes().replace(executables.host().encode(), b"0" * 64))


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".elsewhere"))
    file.symlink_to(file.with_suffix(".elsewhere"))


@pytest.mark.parametrize("change", [damaged, cut_short, emptied, another_machines, linked])
def test_what_is_not_what_it_should_be_is_removed_not_loaded(
    change: Callable[[Path], None], folder: Path, compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = kept(compiled)
    (file,) = folder.iterdir()
    change(file)
    monkeypatch.setattr(executables.pickle, "loads", lambda payload: pytest.fail("was loaded"))
    assert executable.load() is None
    assert not executable.is_there
    monkeypatch.undo()
    executable.save(compiled)
    assert executable.load() is not None


@pytest.mark.parametrize("changed", ["code", "versions", "host", "environment", "device"])
def test_what_was_compiled_elsewhere_or_from_other_sources_is_another_program(
    changed: str, folder: Path, compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = kept(compiled)
    here = executables._here(executable.devices[0])
    monkeypatch.setattr(executables, "_here", lambda device: here | {changed: "other"})
    assert not executable.is_there
    assert executable.load() is None


def test_a_folder_that_others_may_write_to_is_not_used(folder: Path, compiled: Any) -> None:
    executable = kept(compiled)
    folder.chmod(0o770)
    assert not executable.is_there
    assert executable.load() is None
    executable.save(compiled)
    assert len(list(folder.iterdir())) == 1


def test_what_was_not_used_for_the_longest_time_goes_first(
    folder: Path, compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept(compiled, "first")
    (file,) = folder.iterdir()
    size = file.stat().st_size
    second = kept(compiled, "second")
    for age, executable in enumerate((second, first)):
        path = executable._path
        assert path is not None
        os.utime(path, (1000 - age, 1000 - age))
    assert first.load() is not None  # which is a use
    monkeypatch.setattr(executables, "MOST_BYTES", int(2.5 * size))
    third = kept(compiled, "third")
    assert [each.is_there for each in (first, second, third)] == [True, False, True]
