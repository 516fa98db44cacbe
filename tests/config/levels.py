"""Levels of every factor, for tests that span grids."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bn_ablate.config.names import (
    DECAYS_ON,
    DROPOUT_KINDS,
    DROPOUT_SITES,
    NORM_GRADIENTS,
    NORM_STATISTICS,
    RESIDUAL_NORMS,
    TRAINABLES,
)

LEVELS: dict[str, tuple[Any, ...]] = {
    "placement": ("none", "pre", "post"),
    "residual_norm": RESIDUAL_NORMS,
    "affine": ("none", "scale", "bias", "both"),
    "coverage": ("all", "none", "first", "only_1", "without_0", "input"),
    "bn_momentum": (0.5, 0.9, 0.99),
    "bn_momentum_end": (None, 0.7),
    "bn_epsilon": (1e-5, 1e-3),
    "scale_init": (0.1, 1.0),
    "residual_scale_init": (0.0, 0.5),
    "bias_init": (-1.0, 0.0),
    "activation": ("sigmoid", "relu", "gelu"),
    "dropout_rate": (0.0, 0.2, 0.5),
    "dropout_site": DROPOUT_SITES,
    "dropout_kind": DROPOUT_KINDS,
    "learning_rate": (0.01, 0.1, 1.0),
    "weight_decay": (0.0, 1e-4),
    "decay_on": DECAYS_ON,
    "label_smoothing": (0.0, 0.1),
    "clip_norm": (0.0, 0.5),
    "trainable": TRAINABLES,
    "norm_kind": ("batch", "layer", "group", "rms", "mean_only", "variance_only", "batch_renorm", "fixed", "dyt"),
    "alpha_init": (0.5, 1.0),
    "weight_standardization": (False, True),
    "norm_gradient": NORM_GRADIENTS,
    "norm_statistics": NORM_STATISTICS,
    "norm_noise": (0, 2, 4),
    "norm_noise_after": (0.0, 0.2),
    "norm_since": (0, 2),
    "norm_until": (0, 3),
    "moving_variance": ("biased", "unbiased"),
    "moving_average": ("exponential", "cumulative"),
    "frozen_from": (0, 1, 3),
    "epsilon_on": ("variance", "deviation"),
    "r_max": (1.5, 3.0),
    "d_max": (0.5, 5.0),
    "architecture": ("mlp", "cnn", "resnet", "resnet_preact"),
    "depth": (3, 5, 7),
    "width": (8, 16),
    "norm_batch_size": (2, 4),
    "norm_groups": (2, 4),
    "kernel_init": ("lecun_normal", "he_normal"),
    "n_train": (50, 100),
    "standardize": ("channel", "unit", "none"),
    "random_labels": (0.0, 0.5),
    "augment": ("none", "flip", "crop", "cutout"),
    "augment_size": (None, 1, 2),
    "steps": (10, 20),
    "batch_size": (8, 16),
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "step", "cosine", "one_cycle"),
    "decay_factor": (0.1, 0.5),
    "momentum": (0.0, 0.9),
    "nesterov": (False, True),
    "precision": ("float32", "tensorfloat32", "bfloat16"),
    "warmup_steps": (0, 3),
    "average": ("none", "ema", "swa"),
    "average_decay": (0.9, 0.99),
    "average_start": (None, 2, 0.5),
}


ACTING: dict[str, Any] = {
    "data": {"augment": "crop"},
    "model": {"architecture": "resnet"},
    "dropout": {"rate": 0.1},
    "train": {"weight_decay": 0.1, "schedule": "cosine", "average": "ema"},
}
"""Sections of a study in which every factor acts, but for what stands in `ACTING_WITH`."""
ACTING_WITH: dict[str, dict[str, Any]] = {
    "norm_groups": {"norm": {"kind": "group"}},
    "decay_factor": {"train": {"schedule": "step"}},
    "milestones": {"train": {"schedule": "step"}},
    "r_max": {"norm": {"kind": "batch_renorm"}},
    "d_max": {"norm": {"kind": "batch_renorm"}},
    "alpha_init": {"norm": {"kind": "dyt"}},
    "norm_since": {"train": {"average": "none"}},
    "norm_until": {"train": {"average": "none"}, "model": {}},
}
"""Factor -> sections in which it acts, where BN has no use for it."""


def axes(most: int = 4) -> st.SearchStrategy[dict[str, list[Any]]]:
    """Up to `most` axes, each with some of its levels, in any order; none that some levels of others refuse."""
    free = [name for name in LEVELS if name not in ("norm_since", "norm_until")]
    chosen = st.lists(st.sampled_from(free), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: some_of(LEVELS[name]) for name in names}))


def some_of(levels: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    """One or more of `levels`, in any order."""
    return st.lists(st.sampled_from(levels), min_size=1, unique=True)
