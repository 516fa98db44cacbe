"""Whole trainings with crops and flips against those that PyTorch made of the same: recorded losses, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import record_torch_training as recorded

from bn_ablate.engine import Engine
from bn_ablate.engine.many_lanes import Segment

TORCH = json.loads((Path(__file__).parent / "torch_training.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", recorded.STUDIES)
def test_losses_are_those_of_pytorch_on_the_same_batches_crops_and_flips(name: str) -> None:
    """The program that trains a lane alone takes the steps one by one, as measured before each."""
    wanted = Engine(recorded.dataset()).alone(recorded.cell_of(name), 0)
    train, begin = wanted.train().result(), wanted.begin().result()
    states = begin(wanted.examples, wanted.seeds, wanted.factors, wanted.first)
    losses, every = [], wanted.segment.indices
    for step in range(recorded.STEPS):
        now = Segment(np.roll(every, -step, 1), np.int32(step), np.int32(1), np.bool_(True))  # type: ignore[arg-type]
        states = train(wanted.examples, wanted.seeds, wanted.factors, states, now)
        losses.append(float(states.loss_sum[0, 0]))
    np.testing.assert_allclose(losses, TORCH[name], rtol=0, atol=1e-3)
    assert losses[-1] < 0.8 * losses[0]  # it has learned, so that every gradient was there
