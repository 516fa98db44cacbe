"""Lanes at random levels of all traced factors at once, in one program, against a training in NumPy."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from bn_ablate.engine.program import program_of
from bn_ablate.nn import stack_factors
from tests.engine import reference, small


@pytest.mark.parametrize("norm_batch_size", [None, 4])
def test_all_factors_at_once_against_numpy(norm_batch_size: int | None) -> None:
    # in a ReLU network an input that rounds to the other side of zero is no rounding error any more
    lanes = small.random_lanes(60, {"norm_batch_size": norm_batch_size}, activation=("sigmoid", "tanh"))
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    assert program.structure.input_normed == "some"
    factors = stack_factors(lanes, program.structure.activations)
    start, end = small.train(program, factors, steps=4)
    batches = small.batches(program, 4)
    for i, settings in enumerate(lanes):
        message = str(settings.model_dump(exclude_defaults=True))
        params = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], float), start.params)
        given = [(np.asarray(batch.x, float).reshape(small.BATCH, -1), np.asarray(batch.y)) for batch in batches]
        want, stats, losses = reference.train(settings, params, given, [batch.noise for batch in batches])
        assert float(end.loss_sum[i]) == pytest.approx(sum(losses), rel=1e-4), message
        for name, leaf in small.lane(end.params, i).items():
            np.testing.assert_allclose(leaf, small.leaves(want)[name], rtol=1e-2, atol=2e-4, err_msg=message + name)
        for name, leaf in small.lane(end.batch_stats, i).items():
            np.testing.assert_allclose(leaf, small.leaves(stats)[name], rtol=1e-3, atol=1e-4, err_msg=message + name)
