"""One function for every lane of a grid, seeds outside, cells inside: all lanes at once, or some after others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

Strategy = Literal["vmap", "map"]


def each_lane(
    strategy: Strategy,
    at_once: int,
    prepare: Callable[..., Any],
    one_lane: Callable[[Any, Any, Any, Any], tuple[Any, Any]],
    seeds: tuple[Any, ...],
    cells: Any,
    still: Any,
    moving: Any,
) -> tuple[Any, Any]:
    """What `one_lane` makes of each lane's part of `moving`, and what it finds there.

    Lanes are written where they were read: what a lane is read from and written to is a good part of a program with
    few operations of its own, so each leaf is read and written once, at its seed and cell.

    Args:
        strategy: all lanes together (`vmap`), or `at_once` cells of a seed after others (`map`).
        at_once: for `map`; the number of cells is a multiple of it.
        prepare: of a seed's part of `seeds`, what all its lanes share.
        one_lane: of what is shared, a lane's cell, and its parts of `still` and `moving`: the latter anew, and what is
            found.
        seeds: leading axis (seeds).
        cells: leading axis (cells).
        still, moving: leading axes (seeds, cells).
    """
    if strategy == "vmap":

        def all_cells(seed: tuple[Any, ...], still: Any, moving: Any) -> tuple[Any, Any]:
            return jax.vmap(partial(one_lane, prepare(*seed)))(cells, still, moving)

        return jax.vmap(all_cells)(seeds, still, moving)

    n_seeds, n_cells = _length(seeds), _length(cells)

    def one_seed(moving: Any, seed: Int[Array, ""]) -> tuple[Any, Any]:
        one = partial(one_lane, prepare(*_read(seeds, (seed,), 1)))

        def some(moving: Any, turn: Int[Array, ""]) -> tuple[Any, Any]:
            cell = turn * at_once
            lanes = (_read(cells, (cell,), at_once), *(_read(tree, (seed, cell), at_once) for tree in (still, moving)))
            moved, found = one(*lanes) if at_once == 1 else jax.vmap(one)(*lanes)
            return _written(moving, moved, (seed, cell), at_once), found

        return lax.scan(some, moving, jnp.arange(n_cells // at_once))

    moving, found = lax.scan(one_seed, moving, jnp.arange(n_seeds))
    own = 2 if at_once == 1 else 3
    return moving, jax.tree.map(lambda leaf: leaf.reshape(n_seeds, n_cells, *leaf.shape[own:]), found)


def _length(tree: Any) -> int:
    return len(jax.tree.leaves(tree)[0])


def _read(tree: Any, place: tuple[Array, ...], n: int) -> Any:
    """What is at `place`, the last of whose axes goes on for `n`, and is left away where that is 1."""

    def read(leaf: Array) -> Array:
        own = leaf.shape[len(place) :]
        sizes = (*[1] * (len(place) - 1), n, *own)
        found = lax.dynamic_slice(leaf, (*place, *[0] * len(own)), sizes, allow_negative_indices=False)
        return found.reshape(own if n == 1 else (n, *own))

    return jax.tree.map(read, tree)


def _written(tree: Any, new: Any, place: tuple[Array, ...], n: int) -> Any:
    """`tree` with `new` at `place`, as it is read."""

    def write(leaf: Array, part: Array) -> Array:
        own = leaf.shape[len(place) :]
        update = part.reshape(*[1] * (len(place) - 1), n, *own)
        return lax.dynamic_update_slice(leaf, update, (*place, *[0] * len(own)), allow_negative_indices=False)

    return jax.tree.map(write, tree, new)
