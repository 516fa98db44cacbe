"""Studies as TOML files say them: schema, loading, messages. No JAX here."""

from bn_ablate.config.errors import BnAblateError, ConfigError, Problem
from bn_ablate.config.extensions import ExtensionError, load_extension
from bn_ablate.config.lane import LaneSettings, base_settings
from bn_ablate.config.load import build_study, load_study
from bn_ablate.config.schema import Study

__all__ = [
    "BnAblateError",
    "ConfigError",
    "ExtensionError",
    "LaneSettings",
    "Problem",
    "Study",
    "base_settings",
    "build_study",
    "load_extension",
    "load_study",
]
