#!/usr/bin/env python
"""Make the font of the figures: the part of DejaVu Sans that their texts need, as Matplotlib brings it.

Matplotlib reads a font whole each time it embeds it in a PDF, which took most of the time of a report: DejaVu Sans has
6,000 glyphs. This part has a tenth of them, and the same shapes, widths and kerning. Its file is in the package, so
that figures do not change with Matplotlib's version either. What is not in it is drawn with DejaVu Sans.

    .venv/bin/python scripts/figure_font.py
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import matplotlib as mpl
from fontTools import subset

FOLDER = Path(__file__).resolve().parents[1] / "bn_ablate" / "analysis" / "figures" / "fonts"
NAME = "Figure Sans"
FILES = {"DejaVuSans.ttf": "FigureSans.ttf", "DejaVuSans-Bold.ttf": "FigureSans-Bold.ttf"}
CHARACTERS = (
    *range(0x20, 0x7F),  # ASCII
    *range(0xA0, 0x180),  # Latin of Western and Central Europe
    *range(0x391, 0x3A2),
    *range(0x3A3, 0x3CA),  # Greek
    *range(0x2010, 0x2028),  # dashes, quotes, daggers, bullets, ellipses
    *range(0x2030, 0x203B),  # permille, primes
    *(0x2070, 0x2071, *range(0x2074, 0x208F), *range(0x2090, 0x209D)),  # superscripts and subscripts
    *range(0x2190, 0x219A),  # arrows
    *(ord(character) for character in "∂∆∇∈−∓√∝∞∧∨∩∪∫≈≠≡≤≥≪≫⊙⌊⌋ℓℝ"),
    *(ord(character) for character in "■□▲△▼▽◆◇○●◦★✓✗"),
)


def part(source: Path) -> subset.TTFont:
    """The part of the font file `source` that figures need, by another name."""
    options = subset.Options(
        layout_features=["kern", "liga"], name_IDs=["*"], notdef_outline=True, recalc_timestamp=False
    )
    options.drop_tables += ["FFTM"]
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    for record in font["name"].names:
        name = str(record).replace("DejaVu Sans", NAME).replace("DejaVuSans", NAME.replace(" ", ""))
        record.string = name
    return font


def main() -> None:
    """Write both weights and their licence into the package."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    theirs = Path(mpl.get_data_path(), "fonts", "ttf")
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(theirs / "LICENSE_DEJAVU", FOLDER / "LICENSE_DEJAVU")
    for source, file in FILES.items():
        part(theirs / source).save(FOLDER / file)
        print(f"{FOLDER / file}: {(FOLDER / file).stat().st_size} bytes")


if __name__ == "__main__":
    main()
