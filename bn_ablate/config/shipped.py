"""The studies that come with the package, each by its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "studies"
"""Their folder in the package; in a checkout, a link to `configs/`."""
PUBLISHED = SHIPPED / "replications" / "published"
"""What others published, as tables to hold results against: no studies."""


@cache
def shipped() -> dict[str, Path]:
    """Name -> file of every study that comes with the package, those of `configs/` itself first."""
    files = (file for file in SHIPPED.rglob("*.toml") if file.parent != PUBLISHED)
    return {file.stem: file for file in sorted(files, key=lambda file: (len(file.parts), file.name))}


def found(path: Path) -> Path:
    """`path`, or the study of that name that comes with the package, where no file of the user's has the name."""
    named = len(path.parts) == 1 and not path.exists()
    return shipped().get(path.name, path) if named else path
