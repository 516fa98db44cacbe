"""Names that a study may use and users may add to: what stands behind each, and where it comes from.

A file that is being loaded as an extension, or any Python code, registers under a name what a study then says by it.
Ours are known by name from the start, so that a study is read without the modules that hold their functions.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import PlainValidator, ValidationInfo

from bn_ablate.config.errors import one_of

T = TypeVar("T")
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
"""What a user's own part may be called."""


class Origin(NamedTuple):
    """Where a user's own part comes from.

    Attributes:
        file: the name of the file that registers it.
        sha256: of the file that was loaded as an extension; of the function's source where Python code registers it.
    """

    file: str
    sha256: str


class Registry(Generic[T]):
    """What stands behind the names of one kind.

    Attributes:
        kind: what they name, as `activation`.
        path: the key of a study that says one of them, as `model.activation`.
        own: the names of ours.
        of_lanes: whether what comes of a lane depends on them.
    """

    def __init__(self, kind: str, path: str, *own: str, of_lanes: bool = True) -> None:
        self.kind = kind
        self.path = path
        self.own = own
        self.of_lanes = of_lanes
        self._values: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}
        REGISTRIES[kind] = self

    @property
    def names(self) -> tuple[str, ...]:
        """All names that are known, ours first."""
        return (*self.own, *self._origins)

    def __getitem__(self, name: str) -> T:
        return self._values[name]

    def get(self, name: str) -> T | None:
        """What stands behind `name`; None where its file was not loaded, as when results are read."""
        return self._values.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def origin(self, name: str) -> Origin | None:
        """Where a user's own comes from; None where it is one of ours, or none that is registered."""
        return self._origins.get(name)

    def add(self, name: str, value: T, source: Callable[..., Any] | type | None = None) -> T:
        """Register `value` under `name`; `source` is what the user wrote, where that is not `value` itself.

        Raises:
            ValueError: the name is taken, or none that a study could say.
        """
        if name in self.own and name not in self._values:
            self._values[name] = value
            return value
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of an own {self.kind}: lower-case letters, digits and _ can")
        if name in self.own:
            raise ValueError(f"the {self.kind} {name!r} is one of bn_ablate's own; choose another name")
        origin = _loading[-1] if _loading else _origin_of(value if source is None else source)
        if (there := self._origins.get(name)) and there.file != origin.file:
            raise ValueError(f"the {self.kind} {name!r} is that of {there.file} already; choose another name")
        self._values[name], self._origins[name] = value, origin
        return value

    def remove(self, origin: Origin) -> None:
        """Forget what comes from there."""
        for name in [name for name, its in self._origins.items() if its == origin]:
            del self._values[name], self._origins[name]

    def known(self, info: ValidationInfo) -> tuple[str, ...]:
        """All names that are known where the context says which an extension provides, ours first."""
        provided = (info.context or {}).get("provided", {}).get(self.kind, ())
        return tuple(dict.fromkeys((*self.names, *provided)))

    def check(self, given: Any, info: ValidationInfo) -> str:
        """`given`, if it is a known name, or one that the context says that an extension provides.

        Raises:
            ValueError: it is not; the message names those that are, and the nearest.
        """
        known = self.known(info)
        if not isinstance(given, str) or given not in known:
            raise ValueError(one_of(given, known))
        return given

    @property
    def named(self) -> PlainValidator:
        """What makes a key of the schema take these names."""
        return PlainValidator(self.check)


REGISTRIES: dict[str, Registry[Any]] = {}
"""By kind."""

_loading: list[Origin] = []


@contextmanager
def loading(origin: Origin) -> Iterator[None]:
    """Within the block what is registered comes from `origin`; all of it is forgotten if the block fails."""
    _loading.append(origin)
    try:
        yield
    except BaseException:
        for registry in REGISTRIES.values():
            registry.remove(origin)
        raise
    finally:
        _loading.pop()


def _origin_of(written: Any) -> Origin:
    """The file and the source of a function or a class.

    Raises:
        ValueError: they cannot be found, as of what was typed at a prompt.
    """
    try:
        source, file = inspect.getsource(written), inspect.getfile(written)
    except (OSError, TypeError):
        raise ValueError(
            "the source of what is registered cannot be found, and the ids of lanes hold it: write it into a file, "
            "or a cell of a notebook"
        ) from None
    return Origin(Path(file).name, hashlib.sha256(source.encode()).hexdigest())
