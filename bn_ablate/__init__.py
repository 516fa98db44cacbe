"""Batch Normalization ablations in JAX: whole grids of networks trained at once, measured, tested and reported.

`load_study`, `make_plan`, `run`, `rerun`, `train_lane`, `open_results`, `write_report` and `publish` are what scripts
and notebooks need, and decorators like `network` add parts of their own; they are imported when they are first asked
for, so that `import bn_ablate` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "BlockSpec": "config.architectures",
    "BnAblateError": "config",
    "Chart": "analysis.figures.style",
    "ConfigError": "config",
    "Dataset": "data",
    "ExtensionError": "config",
    "NetworkSpec": "config.architectures",
    "JudgedResults": "analysis.judged",
    "LoadedLane": "runs.stored_weights",
    "Results": "results",
    "ResultsError": "results",
    "RunProgress": "plan",
    "Study": "config",
    "TrainedLane": "runs.one_lane",
    "build_study": "config",
    "activation": "nn.activations",
    "augmentation": "data.augmentation",
    "figure": "config.claims",
    "initializer": "nn.initializers",
    "load_extension": "config",
    "load_lane": "runs.stored_weights",
    "load_study": "config",
    "make_plan": "plan",
    "measured": "measure",
    "merge": "runs.opened",
    "network": "config.architectures",
    "normalizer": "config.normalizers",
    "open_results": "runs.opened",
    "optimizer": "engine.optimizers",
    "publish": "sinks",
    "rerun": "runs.rerun",
    "run": "runs.run",
    "train_lane": "runs.one_lane",
    "verify": "results",
    "write_report": "analysis",
}

if TYPE_CHECKING:
    from bn_ablate.analysis import write_report
    from bn_ablate.analysis.figures.style import Chart
    from bn_ablate.analysis.judged import JudgedResults
    from bn_ablate.config import (
        BnAblateError,
        ConfigError,
        ExtensionError,
        Study,
        build_study,
        load_extension,
        load_study,
    )
    from bn_ablate.config.architectures import BlockSpec, NetworkSpec, network
    from bn_ablate.config.claims import figure
    from bn_ablate.config.normalizers import normalizer
    from bn_ablate.data import Dataset
    from bn_ablate.data.augmentation import augmentation
    from bn_ablate.engine.optimizers import optimizer
    from bn_ablate.measure import measured
    from bn_ablate.nn.activations import activation
    from bn_ablate.nn.initializers import initializer
    from bn_ablate.plan import RunProgress, make_plan
    from bn_ablate.results import Results, ResultsError, verify
    from bn_ablate.runs.one_lane import TrainedLane, train_lane
    from bn_ablate.runs.opened import merge, open_results
    from bn_ablate.runs.rerun import rerun
    from bn_ablate.runs.run import run
    from bn_ablate.runs.stored_weights import LoadedLane, load_lane
    from bn_ablate.sinks import publish

__all__ = [
    "BlockSpec",
    "BnAblateError",
    "Chart",
    "ConfigError",
    "Dataset",
    "ExtensionError",
    "JudgedResults",
    "LoadedLane",
    "NetworkSpec",
    "Results",
    "ResultsError",
    "RunProgress",
    "Study",
    "TrainedLane",
    "__version__",
    "activation",
    "augmentation",
    "build_study",
    "figure",
    "initializer",
    "load_extension",
    "load_lane",
    "load_study",
    "make_plan",
    "measured",
    "merge",
    "network",
    "normalizer",
    "open_results",
    "optimizer",
    "publish",
    "rerun",
    "run",
    "train_lane",
    "verify",
    "write_report",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
