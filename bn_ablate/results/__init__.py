"""Results on disk: written whole or not at all, checked when read."""

from bn_ablate.results.checkpoints import Checkpoints
from bn_ablate.results.compare import compare
from bn_ablate.results.files import ResultsError
from bn_ablate.results.folders import of_studies, results_in
from bn_ablate.results.lock import locked
from bn_ablate.results.merging import merge
from bn_ablate.results.origins import Held, Record
from bn_ablate.results.provenance import Provenance
from bn_ablate.results.reader import Results, open_results
from bn_ablate.results.reuse import Old
from bn_ablate.results.seal import damage, refuse_inside, seal
from bn_ablate.results.store import Store
from bn_ablate.results.verify import verify

__all__ = [
    "Checkpoints",
    "Held",
    "Old",
    "Provenance",
    "Record",
    "Results",
    "ResultsError",
    "Store",
    "compare",
    "damage",
    "locked",
    "merge",
    "of_studies",
    "open_results",
    "refuse_inside",
    "results_in",
    "seal",
    "verify",
]
