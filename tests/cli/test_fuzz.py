"""Whatever is typed, or stands in a study file: an exit status and a sentence, and neither a traceback nor a folder.

A mistake in a word or in a study ends with 2 and its name; what the machine lacks, as a folder, with 1 and its name.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bn_ablate.cli import main as cli
from bn_ablate.config.errors import printable
from bn_ablate.config.factors import SECTIONS
from bn_ablate.config.schema import Study
from bn_ablate.results import ResultsError
from bn_ablate.runs.training import Here
from tests.cli.command_line import TINY, Done
from tests.config.test_fuzz import overrides, tables
from tests.effort import examples
from tests.results.made_up import published

CALM = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
ACCEPTED = "everything was accepted"
KEYS = {*Study.model_fields, *SECTIONS, '""'}

nasty = st.sampled_from(
    ["", "-", " ", "\n", "../..", "~", "*", "/dev/null", "a/../b", "\x1b[31mred", "\x1b]0;x\x07", "x" * 5000, "\udce9",
     "é\u202e", "[bold]", "[/]", "%s", "{x}", "'", '"', "\\", "$(x)", "file/x", "empty", "file", "nan", "1e999", "99"]
)  # fmt: skip
letters = st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from(
    "\udc80\udcff=-.,[]\n\x1b"
)
odd = nasty | st.text(letters, max_size=12)


class Command(NamedTuple):
    """A command as the fuzz knows it: its positional words, and for each flag a good value and bad ones."""

    words: list[str]
    flags: dict[str, tuple[str, list[str]]]
    variadic: bool = False


SET = {"--set": ("train.steps=5", ["train.steps", "=3", "train.stps=1", "train.steps=0", "seeds=x", "name=a/b"])}
ONLY = {"--only": ("learning_rate=0.1", ["learning_rate", "=", ",", "learning_rate="])}
WORDS = {"--project": ("p", []), "--entity": ("e", [])}
HOW = {
    "--device": ("cpu", ["gpu", "", "CPU"]),
    "--memory": ("1", ["much", "0", "-1", "nan", "inf", "1e999", "1e308", ""]),
    "--strategy": ("map", ["pmap", ""]),
    "--at-once": ("2", ["0", "-3", "x", "1.5", ""]),
}
COMMANDS = {
    "plan": Command(["study.toml"], SET | HOW),
    "run": Command(
        ["study.toml"],
        SET
        | {"--only": ("learning_rate=0.1", [*ONLY["--only"][1], "lr=0.1", "learning_rate=7", "seed=99", "width=8"])}
        | {"--results": ("out", []), "--wandb": ("disabled", ["onlin", "", "Online"])}
        | HOW,
    ),
    "report": Command(["empty"], {}),
    "ls": Command(["results"], {}),
    "init": Command(["study.toml"], {}),
    "claims": Command(["empty", "nowhere"], {"--output": ("c.json", [])}, variadic=True),
    "paper": Command(["empty"], {"--output": ("paper", [])}, variadic=True),
    "weights": Command(
        ["empty", "--output", "w.safetensors"],
        ONLY | {"--at": ("best", ["last", "-1", "1.5", ""])},
    ),
    "predictions": Command(
        ["empty", "--output", "p.parquet"],
        ONLY | {"--at": ("best", ["last", "-1", "1.5", ""]), "--part": ("train", ["tests", ""])},
    ),
    "compare": Command(["results", "empty"], {"--format": ("text", ["html", ""])}),
    "verify": Command(["results"], {"--rerun": ("0", ["-1", "x", "0.5", ""])}),
    "data": Command(["no_such_set"], {"--manual-dir": ("empty", [])}),
    "data import": Command(
        ["toys", "empty"],
        {"--label": ("kind", []), "--drop": ("id", []), "--resize": ("8x8", ["0", "x", "8x", "-1", "8×8"])},
    ),
    "cost": Command(
        ["study.toml"],
        SET | {"--repeats": ("1", ["0", "-2", "x", ""]), "--device": ("cpu", ["gpu", ""]), "--output": ("c", [])},
    ),
    "sync": Command(["empty"], WORDS | ONLY | {"--wandb": ("offline", ["disabled", "on", ""])}),
    "fetch": Command(["me/p/a-results"], {"--results": ("out", [])}),
    "sweep-config": Command(["study.toml"], SET | {"--project": ("p", [])}),
    "wandb-report": Command(["empty"], WORDS | {"--kind": ("report", ["page", ""])}),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder to be in, with no key for W&B, where a run that was accepted ends just before it trains."""
    place, home = tmp_path_factory.mktemp("fuzz"), tmp_path_factory.mktemp("home")
    (place / "study.toml").write_text(TINY)
    (place / "file").write_text("no folder")
    (place / "empty").mkdir()
    published(place / "results")

    def accepted(*args: object) -> None:
        raise ResultsError(ACCEPTED)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(Here, "train", accepted)
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name in ("HOME", "NETRC", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(home))
        yield


def called(*argv: str) -> Done:
    """The command line in this process, with streams that take what those of a terminal take."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    before = everything()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = cli.main([*argv])
        except SystemExit as stop:
            status = int(stop.code or 0)
        out.flush()
        err.flush()
    done = Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
    if done.status and ACCEPTED not in done.err:
        assert done.err.strip()
        assert everything() == before
    assert "Traceback" not in done.out + done.err
    if "╭" not in done.err:  # where it is, tyro says the very words that were typed
        assert "\x1b" not in done.out + done.err
    return done


def everything() -> set[str]:
    """Every path below the folder we are in, except those of a run that was accepted."""
    return {root for root, _, _ in os.walk(".") if "/out" not in root}


def squeezed(text: str) -> str:
    """`text` without what a terminal's width puts into it, nor what a message cannot show as it is."""
    return re.sub(r"[^!-~]|[│─╭╮╰╯]", "", text.encode("ascii", "ignore").decode())


def in_toml(value: Any) -> str:
    """A table, list or scalar on one line of TOML."""
    match value:
        case dict():
            return "{" + ", ".join(f"{in_toml(str(key))} = {in_toml(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(in_toml, value))}]"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case None:
            return '""'
        case float() if math.isfinite(value):
            return repr(value) if "." in repr(value) or "e" in repr(value) else f"{value!r}.0"
        case _:
            return str(value)


@st.composite
def spoiled_lines(draw: st.DrawFn) -> tuple[list[str], set[int], list[str]]:
    """A command line with one thing wrong, the statuses it may have, and words of which the message must name one."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    command = COMMANDS[name]
    known = draw(st.lists(st.sampled_from(sorted(command.flags)), unique=True, max_size=3)) if command.flags else []
    good = [word for flag in known for word in (flag, command.flags[flag][0])]
    kinds = ["flag", "word", "path", "command"] + ["value", "no value"] * bool(command.flags)
    match draw(st.sampled_from(kinds)):
        case "flag":
            flag = "--" + draw(st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=2, max_size=9))
            if flag in (*command.flags, "--help", "--quick"):
                flag += "-x"
            return [name, *command.words, *good, flag], {2}, [flag]
        case "value":
            flag = draw(st.sampled_from(sorted(command.flags)))
            bad = command.flags[flag][1]
            if not bad:
                return [name, *command.words, flag], {2}, [flag]
            value = draw(st.sampled_from(bad))
            others = [word for f in known if f not in (flag, "--only") for word in (f, command.flags[f][0])]
            named = [flag, value.partition("=")[0], "seeds", "coverage"]
            return [name, *command.words, *others, flag, value], {2}, named
        case "no value":
            flag = draw(st.sampled_from(sorted(command.flags)))
            return [name, *command.words, flag], {2}, [flag]
        case "word":
            word = draw(odd.filter(lambda word: not word.startswith("-")))
            # where `claims` writes by default lies in the folder of results that we are in: it says that first
            statuses, named = ({1, 2}, [*command.words, word, "sealed"]) if command.variadic else ({2}, [word])
            return [name, *command.words, *good, word], statuses, named
        case "path":
            path = draw(odd.filter(lambda word: not word.startswith("-")))
            if name in ("plan", "run", "cost", "sweep-config"):
                return [name, path, *good], {2}, [path, "problem"]
            return [name, path, *command.words[1:], *good], {0, 1}, [path, *command.words, ".", "API key"]
    word = draw(odd.filter(lambda word: word not in COMMANDS and not word.startswith("-")))
    return [word, *command.words, *good], {2}, [word, repr(word)[1:-1]]


commands = st.sampled_from(["plan", "run", "sweep-config"])


@given(commands, tables, overrides)
@settings(CALM, max_examples=examples(20, 1200))
def test_any_study_is_accepted_or_refused_by_its_keys(command: str, table: dict[str, Any], over: list[str]) -> None:
    """Give a study file to `command`: it is accepted, or every line of the refusal begins with a key of it."""
    try:
        text = "\n".join(f"{in_toml(key)} = {in_toml(value)}" for key, value in table.items())
        Path("fuzzed.toml").write_text(text, encoding="utf-8")
    except UnicodeEncodeError:
        return
    options = [word for override in over for word in ("--set", f"{override} ")]
    more = ["--results", "out", "--wandb", "disabled"] if command == "run" else []
    done = called(command, "fuzzed.toml", *options, *more)
    if done.status and ACCEPTED not in done.err:
        assert done.status == 2
        first, *problems = done.err.removesuffix("\n").split("\n  ")
        source = re.fullmatch(r"bn-ablate: (.*): (\d+) problems?", first, re.DOTALL)
        if source is None:
            assert "argument" in done.err or "option" in done.err  # an override that looks like a flag
            return
        assert problems
        for problem in problems:
            key = re.split(r"[.\[:=]", problem)[0].strip()
            said = [*map(str, table), *over, *(o.strip() for o in over)]
            words = [*KEYS, *map(printable, said)]
            whole = re.match(r"\s*(is not TOML|holds what no key can take|is nested too deeply)", problem)
            assert whole or key in words or any(squeezed(word).startswith(squeezed(key)) for word in words), problem


@given(spoiled_lines())
@settings(CALM, max_examples=examples(40, 1500))
def test_any_mistake_in_a_command_line_is_named(line: tuple[list[str], set[int], list[str]]) -> None:
    argv, statuses, named = line
    done = called(*argv)
    assert done.status in statuses, (argv, done)
    said = squeezed(done.err)
    assert not done.status or any(squeezed(word)[:50] in said for word in named), (argv, done)


@pytest.mark.slow
@given(st.lists(odd | st.sampled_from([*COMMANDS, "study.toml", "--set", "--only", "--results"]), max_size=6))
@settings(CALM, max_examples=800)
def test_any_words_at_all_end_in_a_status(argv: list[str]) -> None:
    if argv[:1] not in (["report"], ["paper"], ["claims"], ["compare"], ["cost"]):  # which may take seconds
        called(*argv)
