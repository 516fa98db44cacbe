"""One choice among branches, static or traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jax import Array, lax


def choose(index: int | Array, branches: Sequence[Callable[..., Any]], *args: Any) -> Any:
    """`branches[index](*args)`.

    With a Python int, or a single branch, that branch alone is traced. With a traced scalar it is `lax.switch`: a real
    branch in a program that handles lanes one by one, a select between all branches under `vmap`.
    """
    if len(branches) == 1:
        return branches[0](*args)
    if isinstance(index, int):
        return branches[index](*args)
    return lax.switch(index, branches, *args)
