"""Random permutations by name: what is drawn depends on purpose, seed and epoch, never on what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Int64, UInt64


def permutation(n: int, purpose: str, seed: int, epoch: int = 0) -> Int64[np.ndarray, " n"]:
    """A uniformly random order of 0, …, n-1, independent for every `(purpose, seed, epoch)`.

    `n` words of 64 bits from Philox4x64-10, keyed by `(hash of purpose, seed)` with `epoch` in the highest word of its
    counter, are sorted; their ranks are the permutation. NumPy keeps the raw words of a bit generator the same in every
    version, which it does not promise for `Generator.permutation`.

    Source:
        Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3. SC 2011.
    """
    return np.argsort(random_words(n, purpose, seed, epoch), kind="stable")


def random_words(n: int, purpose: str, seed: int, epoch: int = 0) -> UInt64[np.ndarray, " n"]:
    """`n` words of 64 random bits, independent for every `(purpose, seed, epoch)`: see `permutation`."""
    name = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    key = np.array([name, seed], dtype=np.uint64)
    counter = np.array([0, 0, 0, epoch], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(n)
