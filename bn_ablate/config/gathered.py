"""What is known by lying in a folder: each module there declares one thing of its kind."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules_of(package: str, path: Iterable[str]) -> list[ModuleType]:
    """The modules of the package whose folders are `path`, imported, in alphabetical order."""
    return [import_module(f"{package}.{found.name}") for found in iter_modules(path)]
