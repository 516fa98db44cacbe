"""Networks and their parts are held to float32 on every device: see `engine.program.at_precision`."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def _in_float32() -> Iterator[None]:
    with jax.default_matmul_precision("highest"):
        yield
