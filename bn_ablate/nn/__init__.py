"""Networks with explicit `batch_stats`, and the seams that every ablated choice passes."""

from bn_ablate.nn.activations import ACTIVATIONS, activate, slope
from bn_ablate.nn.choose import choose
from bn_ablate.nn.dropout import drop
from bn_ablate.nn.networks import Network, Noise, make_network
from bn_ablate.nn.norm import Normalization, NormSettings, normalize_groups
from bn_ablate.nn.normalize import normalize
from bn_ablate.nn.statistics import How
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors, lane_factors, stack_factors

__all__ = [
    "ACTIVATIONS",
    "Factors",
    "How",
    "Network",
    "Noise",
    "NormSettings",
    "Normalization",
    "Structure",
    "activate",
    "choose",
    "drop",
    "lane_factors",
    "make_network",
    "normalize",
    "normalize_groups",
    "slope",
    "stack_factors",
]
