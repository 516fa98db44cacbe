"""Where results go besides the disk: Weights & Biases. wandb is imported only when something is sent to it."""

from bn_ablate.sinks.fetch import Fetched, fetch
from bn_ablate.sinks.live import Live
from bn_ablate.sinks.modes import Mode, asked_mode
from bn_ablate.sinks.publish import SyncReport, check, publish
from bn_ablate.sinks.sink_error import SinkError

__all__ = ["Fetched", "Live", "Mode", "SinkError", "SyncReport", "asked_mode", "check", "fetch", "publish"]
