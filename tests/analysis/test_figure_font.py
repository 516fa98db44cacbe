"""The font that figures are drawn with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figure_font import CHARACTERS, FILES, FOLDER
from matplotlib import get_data_path
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font, LoadFlags

from bn_ablate.analysis.figures.style import RC


def outlines(file: Path) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """The outline of every character in a figure's font, and how wide it is."""
    font = FT2Font(str(file))
    font.set_size(12, 72)
    drawn = []
    for character in CHARACTERS:
        advance = font.load_char(character, LoadFlags.NO_SCALE).horiAdvance
        drawn.append((*font.get_path(), advance))
    return drawn


@pytest.mark.parametrize("file", FILES)
def test_its_characters_are_those_of_dejavu_sans(file: str) -> None:
    ours, theirs = outlines(FOLDER / FILES[file]), outlines(Path(get_data_path(), "fonts", "ttf", file))
    assert len(ours) > 500
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_equal(one, other)


def test_figures_find_it() -> None:
    family = RC["font.family"]
    assert findfont(FontProperties(family=family)) == str(FOLDER / "FigureSans.ttf")
    assert findfont(FontProperties(family=family, weight="bold")) == str(FOLDER / "FigureSans-Bold.ttf")
