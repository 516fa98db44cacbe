"""Text that a study may say of itself: it is shown on terminals and pages, in papers and in Weights & Biases."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator


def without_controls(text: str) -> str:
    """`text`, which has no control character but those of lines and paragraphs: terminals obey the others.

    Raises:
        ValueError: it has one.
    """
    for at, character in enumerate(text):
        if unicodedata.category(character) == "Cc" and character not in "\n\r\t":
            raise ValueError(f"has a control character, U+{ord(character):04X}, at position {at}: leave it out")
    return text


Text = Annotated[str, AfterValidator(without_controls)]
