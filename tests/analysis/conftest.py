"""What the tests of the analysis share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _little_garbage() -> Iterator[None]:
    """Statsmodels collects garbage at every adjustment of p values, which takes long in a process that holds JAX."""
    gc.freeze()
    yield
    gc.unfreeze()
