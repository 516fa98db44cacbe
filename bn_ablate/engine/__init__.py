"""Training: one pure step, many lanes at once, run in segments from the host."""

from bn_ablate.engine.devices import DeviceError, machine, out_of_memory, set_up
from bn_ablate.engine.execute import Engine
from bn_ablate.engine.kept import Weights
from bn_ablate.engine.known_devices import ensure_checked
from bn_ablate.engine.outcome import Outcome, Progress, Timing
from bn_ablate.engine.shards import Shard, Way, shards_of

__all__ = [
    "DeviceError",
    "Engine",
    "Outcome",
    "Progress",
    "Shard",
    "Timing",
    "Way",
    "Weights",
    "ensure_checked",
    "machine",
    "out_of_memory",
    "set_up",
    "shards_of",
]
