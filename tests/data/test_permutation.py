import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.data.permutation import permutation

MASK = 2**64 - 1


def philox(key: list[int], counter: int) -> list[int]:
    """Philox4x64-10 of one block, as the paper states it."""
    x = [counter >> 64 * i & MASK for i in range(4)]
    for _ in range(10):
        high_low = [divmod(0xD2E7470EE14C6C93 * x[0], 2**64), divmod(0xCA5A826395121157 * x[2], 2**64)]
        x = [
            high_low[1][0] ^ x[1] ^ key[0],
            high_low[1][1],
            high_low[0][0] ^ x[3] ^ key[1],
            high_low[0][1],
        ]
        key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
    return x


def test_it_is_the_order_of_philox_words():
    purpose, seed, epoch, n = "batches", 5, 3, 23
    key = [int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little"), seed]
    words = [word for block in range(1, 7) for word in philox(key, (epoch << 192) + block)][:n]
    assert permutation(n, purpose, seed, epoch).tolist() == sorted(range(n), key=words.__getitem__)


def test_it_never_changes():
    """These numbers stand for every result obtained so far: if they change, no result can be had again."""
    assert permutation(10, "batches", 0).tolist() == [4, 6, 8, 7, 0, 1, 9, 5, 3, 2]


@given(st.integers(1, 300), st.integers(0, 2**31 - 1), st.integers(0, 2**40))
def test_it_is_a_permutation(n, seed, epoch):
    assert np.array_equal(np.sort(permutation(n, "split", seed, epoch)), np.arange(n))


def test_purpose_seed_and_epoch_each_change_it():
    orders = [permutation(100, p, s, e).tolist() for p in ("split", "batches") for s in (0, 1) for e in (0, 1)]
    assert len({tuple(order) for order in orders}) == 8
