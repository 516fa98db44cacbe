"""Files of a user's own that add to what a study may name: `extensions = ["my_parts.py"]`."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bn_ablate.config.errors import BnAblateError, ConfigError, Problem, printable
from bn_ablate.config.measures import MEASURES
from bn_ablate.config.own_measures import OwnMeasure, check_name
from bn_ablate.config.registry import REGISTRIES, Origin, loading

if TYPE_CHECKING:
    from bn_ablate.config.schema import Study

MAX_BYTES = 1_000_000


class ExtensionError(BnAblateError):
    """A user's own part that fails; the message is its traceback, from their file on."""

    status = 2


class Extension(BaseModel):
    """A file of a user's own, as a study holds it.

    Attributes:
        file: as the study names it; where Python code registered the names, that of the code.
        sha256: of its bytes; where Python code registered the names, of their sources.
        provides: kind of part -> names.
        measures: the declarations of the measures among them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    file: str
    sha256: str
    provides: dict[str, tuple[str, ...]]
    measures: dict[str, OwnMeasure] = Field(default_factory=dict, exclude_if=lambda declared: not declared)

    @classmethod
    def of(cls, file: str, origin: Origin, provides: Mapping[str, tuple[str, ...]]) -> Extension:
        """What the file, or the code, at `origin` has registered, of which it `provides` these names."""
        measures = {name: MEASURES[name].declared for name in provides.get(MEASURES.kind, ())}
        return cls(file=file, sha256=origin.sha256, provides=dict(provides), measures=measures)

    @model_validator(mode="after")
    def _declared(self) -> Extension:
        for name in self.measures:
            check_name(name)
        if self.measures.keys() != set(self.provides.get(MEASURES.kind, ())):
            raise ValueError("must declare the measures that it provides, and no others")
        return self

    def __hash__(self) -> int:
        return hash((self.file, self.sha256))


LOADED: dict[Path, str] = {}
"""The extension files that were run in this process, with the SHA-256 of what was run."""


def load_extension(file: str | Path, folder: Path | None = None) -> Extension:
    """Run an extension file, once, and say which names it provides. Relative paths are from `folder`.

    Raises:
        ConfigError: there is no such file, it cannot be read, or registers nothing.
        ExtensionError: it fails.
    """
    path = (Path(folder or ".") / Path(file).expanduser()).resolve()
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(file), [Problem("", f"{path}: cannot be read: {error.strerror}")]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(str(file), [Problem("", f"is larger than {MAX_BYTES} bytes; an extension is a page or two")])
    origin = Origin(path.name, hashlib.sha256(content).hexdigest())
    if LOADED.get(path) != origin.sha256:
        forget(path)
        _run(path, content, origin)
        LOADED[path] = origin.sha256
    provides = {
        kind: names
        for kind, registry in REGISTRIES.items()
        if (names := tuple(name for name in registry.names if registry.origin(name) == origin))
    }
    if not provides:
        forget(path)
        said = (
            f"registers nothing: it should say what it adds, as @bn.activation(…) does; kinds: {', '.join(REGISTRIES)}"
        )
        raise ConfigError(str(file), [Problem("", said)])
    return Extension.of(str(file), origin, provides)


def provided(extensions: Iterable[Extension]) -> dict[str, tuple[str, ...]]:
    """Kind of part -> all names that these extensions provide."""
    found: dict[str, tuple[str, ...]] = {}
    for extension in extensions:
        for kind, names in extension.provides.items():
            found[kind] = (*found.get(kind, ()), *names)
    return found


def registered(study: Study) -> tuple[Extension, ...]:
    """What `study` uses that Python code has registered, and no file that it names provides."""
    listed = provided(study.extensions)
    found: dict[Origin, dict[str, tuple[str, ...]]] = {}
    for kind, registry in REGISTRIES.items():
        for name in sorted(named_in(study, registry.path) - set(listed.get(kind, ()))):
            if origin := registry.origin(name):
                names = found.setdefault(origin, {})
                names[kind] = (*names.get(kind, ()), name)
    return tuple(Extension.of(origin.file, origin, provides) for origin, provides in found.items())


def named_in(study: Study, path: str) -> set[Any]:
    """What a study says at the key `path`, in each table of a section that has several, and on its axes."""
    from bn_ablate.config.factors import FACTORS

    section, _, key = path.partition(".")
    there = getattr(study, section)
    values = [getattr(table, key) for table in (there.values() if isinstance(there, dict) else [there])]
    axis = next((name for name, factor in FACTORS.items() if factor.path == path), "")
    return {name for value in values for name in (value if isinstance(value, tuple) else (value,))} | {
        *study.axes.get(axis, ())
    }


def require(study: Study) -> None:
    """Make sure that what the lanes of `study` use of extensions was run in this process, and is what it was.

    Raises:
        ConfigError: it was not, or the file has changed; the message says what to do.
    """
    problems = []
    for extension in study.extensions:
        for kind, names in extension.provides.items():
            if (registry := REGISTRIES.get(kind)) is None:
                said = (
                    f"{extension.file} provides a {kind}, which this version does not know: use the one that wrote it"
                )
                problems.append(Problem("extensions", said))
                continue
            for name in sorted(named_in(study, registry.path).intersection(names) if registry.of_lanes else ()):
                if (origin := registry.origin(name)) and origin.sha256 == extension.sha256:
                    continue
                now = f"; that which was loaded has {origin.sha256[:12]}" if origin else ""
                said = (
                    f"the {kind} {name!r} is that of a file {extension.file} with the SHA-256 {extension.sha256[:12]}…"
                    f"{now}: give the very file with --extension, or from Python with bn.load_extension(…)"
                )
                problems.append(Problem("extensions", said))
    if problems:
        raise ConfigError(study.name, problems)


def sources(study: Study) -> dict[str, bytes]:
    """The extension files of `study`, by `SHA/name`, as far as they were run in this process and are unchanged."""
    wanted = {extension.sha256 for extension in study.extensions}
    found = {}
    for path, sha256 in LOADED.items():
        with suppress(OSError):
            content = path.read_bytes()
            if sha256 in wanted and hashlib.sha256(content).hexdigest() == sha256:
                found[f"{sha256[:12]}/{path.name}"] = content
    return found


def fault_in(error: BaseException) -> str | None:
    """The traceback of `error` from the first line of an extension file on; None where no such file is in it."""
    files = {str(path) for path in LOADED}
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if frame.filename in files), None)
    if first is None:
        return None
    shown = "".join(traceback.format_list(frames[first:])).rstrip("\n")
    what = "".join(traceback.format_exception_only(error)).strip()
    return printable(f"{frames[first].filename}: fails\n{shown}\n{what}", keep="\n")


class _Source(SourceLoader):
    """Gives Python the very bytes that were hashed."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = str(path)
        self._content = content

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str) -> bytes:
        return self._content


def _run(path: Path, content: bytes, origin: Origin) -> None:
    loader = _Source(path, content)
    module = module_from_spec(spec_from_loader(f"bn_ablate_extension_{path.stem}", loader))  # type: ignore[arg-type]
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # classes look their module up
    LOADED[path] = origin.sha256
    try:
        with loading(origin):
            loader.exec_module(module)
    except BaseException as error:
        said = fault_in(error) or printable(f"{path}: {type(error).__name__}: {error}", keep="\n")
        del LOADED[path], sys.modules[module.__name__]
        if before is not None:
            sys.modules[module.__name__] = before
        if isinstance(error, Exception | SystemExit):  # a file that ends the process is as wrong as one that fails
            raise ExtensionError(said) from None
        raise


def forget(path: Path) -> None:
    """Forget what an earlier state of the file registered."""
    if sha256 := LOADED.pop(path, None):
        for registry in REGISTRIES.values():
            registry.remove(Origin(path.name, sha256))
