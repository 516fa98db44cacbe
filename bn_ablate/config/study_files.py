"""Study files: their tables as they stand, and with those of the files that they include."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bn_ablate.config.errors import ConfigError, Problem, nearest, show
from bn_ablate.config.given import place
from bn_ablate.config.primary import PRIMARY, primary_alone
from bn_ablate.config.shipped import shipped

MAX_FILE_BYTES = 1_000_000
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
INSTEAD = {"train.steps": "epochs", "train.epochs": "steps"}
"""Keys that take the place of another one in their table."""


def read_table(path: Path) -> dict[str, Any]:
    """What the TOML file `path` says.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        by_name = ", and no study of that name comes with bn_ablate (`bn-ablate configs` lists those that do)"
        said = f"there is no such file{by_name * (not path.suffix and len(path.parts) == 1)}{_nearest_to(path)}"
        raise ConfigError(source, [Problem("", said)]) from None
    except OSError as error:
        raise ConfigError(source, [Problem("", f"cannot be read: {error.strerror}")]) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            source, [Problem("", f"is larger than {MAX_FILE_BYTES} bytes; a study file is a page or two")]
        )
    if mark := next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), None):
        said = f"begins with a byte order mark (of {mark}), which TOML does not allow: save it as UTF-8 without one"
        raise ConfigError(source, [Problem("", said)])
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            source, [Problem("", f"is not UTF-8: byte {error.start} is {content[error.start]:#04x}")]
        ) from None
    except ValueError as error:  # besides TOMLDecodeError that of an integer with thousands of digits
        raise ConfigError(source, [Problem("", f"is not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigError(source, [Problem("", "is nested too deeply")]) from None


def with_included(table: dict[str, Any], folder: Path, source: str, within: tuple[Path, ...] = ()) -> dict[str, Any]:
    """`table` on top of the files that its `include` names, by paths relative to `folder`, one on top of the other.

    What is said on top counts, key by key in each table of a study; `extensions` are added up, and
    `hypotheses = "primary"` keeps the primary ones of what is included, with the levels that they need. `within` are
    the files that are being read, the outermost first.

    Raises:
        ConfigError: a file is not there or cannot be read, or includes itself.
    """
    if "include" not in table:
        return table
    base: dict[str, Any] = {}
    for named, path in _named(table["include"], folder, source):
        if path.resolve() in within:
            round_trip = " includes ".join(file.name for file in (*within[within.index(path.resolve()) :], path))
            raise ConfigError(source, [Problem("include", f"comes back to itself: {round_trip}")])
        if not path.exists():
            raise ConfigError(
                source, [Problem("include", f"= {show(named)}: there is no such file: {path}{_nearest_to(path)}")]
            )
        below = with_included(read_table(path), path.parent, str(path), (*within, path.resolve()))
        base = _on_top(_with_places(below, place(named).parent), base)
    said = {key: value for key, value in table.items() if key != "include"}
    if said.get("hypotheses") == PRIMARY:
        del said["hypotheses"]
        base = primary_alone(base)
    return _on_top(said, base)


def _named(given: Any, folder: Path, source: str) -> Iterator[tuple[str, Path]]:
    for named in given if isinstance(given, list | tuple) else [given]:
        if not isinstance(named, str) or not named:
            problem = Problem("include", f"is {show(given)}: it must be the path of a TOML file, or a list of such")
            raise ConfigError(source, [problem])
        yield named, folder / place(named)


def _with_places(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`table` of a file in `folder`, with the paths of its extensions relative to what includes it."""
    named = table.get("extensions")
    if not isinstance(named, list):
        return table
    return table | {"extensions": [str(folder / place(item)) if isinstance(item, str) else item for item in named]}


def _on_top(table: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `table` says: keys of tables one by one, all else as a whole, extensions of both."""
    joint = dict(base)
    for key, value in table.items():
        under = base.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            dropped = {INSTEAD.get(f"{key}.{inner}") for inner in value}
            joint[key] = {inner: said for inner, said in under.items() if inner not in dropped} | value
        elif key == "extensions" and isinstance(value, list) and isinstance(under, list):
            joint[key] = [*under, *(item for item in value if item not in under)]
        else:
            joint[key] = value
    return joint


def _nearest_to(path: Path) -> str:
    beside = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
    return nearest(path.name, beside) or nearest(path.stem, shipped())
