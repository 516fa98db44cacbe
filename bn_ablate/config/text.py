"""Text that a study may say of itself: it is shown on terminals and pages, in papers and in Weights & Biases."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

UNSEEN = {
    "Cc": "a control character",  # terminals obey it
    "Cf": "a character that is not seen",  # of no width, or turning the direction of what follows
    "Zl": "a character that is not seen",
    "Zp": "a character that is not seen",
    "Cs": "half a character",
}
"""What is not shown as it is, by Unicode's general category."""
BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Letters and marks that are not seen either."""


def all_seen(text: str) -> str:
    """`text`, of which a reader sees every character; the ends of lines and tabs are its only controls.

    Raises:
        ValueError: it has a control, a character of no width, or one that turns the direction of writing.
    """
    for at, character in enumerate(text):
        kind = UNSEEN["Cf"] if character in BLANK else UNSEEN.get(unicodedata.category(character))
        if kind and character not in "\n\r\t":
            name = unicodedata.name(character, "")
            called = f"U+{ord(character):04X}{f' ({name})' if name else ''}"
            raise ValueError(f"has {kind}, {called}, at position {at}: leave it out")
    return text


Text = Annotated[str, AfterValidator(all_seen)]
