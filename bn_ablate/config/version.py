"""Who writes the files of this package, as they say themselves."""

from __future__ import annotations

import sys

WRITTEN_BY = f"bn_ablate {sys.modules['bn_ablate'].__version__}"
