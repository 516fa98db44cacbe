"""What is trained, and what γ and β start from: the rest stays, bit for bit."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from bn_ablate.config.names import OPTIMIZERS, TRAINABLES
from tests.engine import small

FROZEN = {
    "all": (),
    "all_but_scale": ("['scale']",),
    "all_but_bias": ("['norm']['bias']",),
    "affine_only": (
        "['kernel']",
        "['head']['bias']",
        "['block_0']['bias']",
        "['block_1']['bias']",
        "['block_2']['bias']",
    ),
}


# what is frozen is put back after the optimizer, whichever it is: one that decays what stays apart from its gradients
@pytest.mark.parametrize(
    "optimizer", [pytest.param(name, marks=[] if name == "adamw" else pytest.mark.slow) for name in OPTIMIZERS]
)
def test_what_is_frozen_stays_and_all_else_moves(optimizer: str) -> None:
    train = {"optimizer": optimizer, "momentum": 0.9, "weight_decay": 0.1, "learning_rate": 0.01}
    norm = {"placement": "post", "scale_init": 1.1, "bias_init": -0.0}
    cells, program, factors = small.lay_out({"trainable": list(TRAINABLES)}, train=train, norm=norm)
    before, after = small.train(program, factors)
    for i, cell in enumerate(cells):
        frozen = FROZEN[cell.levels["trainable"]]
        old, new = small.lane(before.params, i), small.lane(after.params, i)
        for path in old:
            stays = path.endswith(frozen) if frozen else False
            assert (old[path].tobytes() == new[path].tobytes()) is stays, (cell.levels, path)
            assert np.all((old[path] == new[path]) == stays), (cell.levels, path)


def test_a_program_that_freezes_trains_the_others_alike() -> None:
    started = {"bias_init": 0.5}  # a bias that stays 0 is as good as none, and nothing would be frozen
    _, mixed, factors = small.lay_out({"trainable": ["all_but_bias", "all"]}, norm=started)
    _, plain, alone = small.lay_out({"trainable": ["all"]}, norm=started)
    assert (mixed.freezes, plain.freezes) == (True, False)
    got, want = small.train(mixed, factors)[1], small.train(plain, alone)[1]
    for (path, leaf), expected in zip(jax.tree.leaves_with_path(got.params), jax.tree.leaves(want.params), strict=True):
        np.testing.assert_allclose(leaf[1], expected[0], atol=1e-6, err_msg=jax.tree_util.keystr(path))


def test_gamma_and_beta_start_where_they_are_to_and_nothing_else_does() -> None:
    cells, program, factors = small.lay_out({"scale_init": [1.0, 0.1], "bias_init": [0.0, -1.0]})
    start, after = small.train(program, factors, steps=1)
    base = small.lane(start.params, 0)
    for i, cell in enumerate(cells):
        for path, leaf in small.lane(start.params, i).items():
            want: Any = base[path]
            if "['norm']" in path:
                want = cell.levels["scale_init" if path.endswith("['scale']") else "bias_init"]
            np.testing.assert_array_equal(leaf, np.full_like(leaf, want), err_msg=f"{cell.levels} {path}")
    losses = np.asarray(after.loss_sum)
    assert len(set(losses.tolist())) == len(cells)
