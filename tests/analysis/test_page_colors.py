"""The colours of pages: what is written in them, also in figures, can be read: in light, in the dark and in print."""

from __future__ import annotations

import re

import pytest

from bn_ablate.analysis.figures.style import LOOKS
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS
from bn_ablate.analysis.pages.report import _template

WRITTEN = ("ink", "muted", "accent", *LOOKS, *SIGNS_OF_VERDICTS)
SCHEMES = [
    dict(re.findall(r"--(\w+): (#\w+);", root))
    for root in re.findall(r":root \{(.*?)\}", _template("style.css"), re.DOTALL)
]


def luminance(color: str) -> float:
    """WCAG's relative luminance of `#rrggbb` or `#rgb`."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("place", range(3), ids=["light", "dark", "print"])
def test_what_is_written_is_legible(place: int) -> None:
    """At 4.5:1, WCAG's AA for text of any size; what a scheme leaves out is that of the light one."""
    assert len(SCHEMES) == 3
    colors = SCHEMES[0] | SCHEMES[place]
    for name in WRITTEN:
        for ground in ("page", "paper"):
            dark, light = sorted(luminance(colors[part]) for part in (name, ground))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)
