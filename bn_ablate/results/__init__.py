"""Results on disk: written whole or not at all, checked when read."""

from bn_ablate.results.checkpoints import Checkpoints
from bn_ablate.results.compare import compare
from bn_ablate.results.files import ResultsError
from bn_ablate.results.lock import locked
from bn_ablate.results.reader import Results, open_results
from bn_ablate.results.seal import damage, seal, verify
from bn_ablate.results.store import Store

__all__ = [
    "Checkpoints",
    "Results",
    "ResultsError",
    "Store",
    "compare",
    "damage",
    "locked",
    "open_results",
    "seal",
    "verify",
]
