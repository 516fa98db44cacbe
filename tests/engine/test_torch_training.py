"""Whole trainings with crops and flips against those that PyTorch made of the same: recorded losses, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import record_torch_training as recorded

TORCH = json.loads((Path(__file__).parent / "torch_training.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", recorded.STUDIES)
def test_losses_are_those_of_pytorch_on_the_same_batches_crops_and_flips(name: str) -> None:
    losses = recorded.losses_of(recorded.cell_of(name), recorded.dataset())
    np.testing.assert_allclose(losses, TORCH[name], rtol=0, atol=1e-3)
    assert losses[-1] < 0.8 * losses[0]  # it has learned, so that every gradient was there
