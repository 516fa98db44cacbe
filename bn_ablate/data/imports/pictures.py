"""Image files as arrays of uint8, decoded by Pillow."""

from __future__ import annotations

import hashlib
import io
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from bn_ablate.data.dataset import DataError
from bn_ablate.data.imports.found import Progress

GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"RGB", "RGBA", "P", "CMYK", "YCbCr"})
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises where a file is not the image that its name says."""


@dataclass(frozen=True)
class Pictures:
    """Encoded images that are to become arrays of one shape.

    Attributes:
        where: how an error names an image is this and its name.
        sizes: how many each split has.
        raw: names and bytes of a split's images.
        resize: (height, width) that all are brought to.
    """

    where: str
    sizes: dict[str, int]
    raw: Callable[[str], Iterator[tuple[str, bytes]]]
    resize: tuple[int, int] | None

    def survey(self, progress: Progress) -> tuple[tuple[int, int, int], str]:
        """The shape that all have, by their headers, and a SHA-256 of all names and bytes.

        Images are grey, with one channel, where all of them are.

        Raises:
            DataError: one cannot be used, or they differ in size and are not brought to one.
        """
        digest, sizes, grey, total = hashlib.sha256(), dict[str, tuple[int, int]](), True, sum(self.sizes.values())
        for split in self.sizes:
            for name, raw in self.raw(split):
                digest.update(f"{hashlib.sha256(raw).hexdigest()}  {name}\n".encode(errors="surrogateescape"))
                sizes[name], is_grey = _header(raw, self.where + name)
                grey &= is_grey
                progress("looking at images", len(sizes), total)
        (common, n), *others = Counter(sizes.values()).most_common()
        if others and not self.resize:
            odd = next(name for name, size in sizes.items() if size != common)
            raise DataError(
                f"{self.where}{odd} is {sizes[odd][0]} × {sizes[odd][1]} (height × width), and most images, {n:,} of "
                f"{total:,}, are {common[0]} × {common[1]}: networks take one size; --resize {common[0]}x{common[1]} "
                "makes all images that"
            )
        return (*(self.resize or common), 1 if grey else 3), digest.hexdigest()

    def decoded(self, split: str, channels: int) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
        """The pixels of a split's images, one after another, in grey (1 channel) or RGB (3).

        Palettes become the colours they stand for. The whole image is brought to the size asked for, by bilinear
        interpolation with antialiasing, whatever its proportions.

        Raises:
            DataError: a file is damaged, or an image transparent somewhere.
        """
        for name, raw in self.raw(split):
            with _opened(raw, self.where + name) as image:
                image.load()
                if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
                    raise DataError(f"{self.where}{name} is transparent in places; put it on a background first")
                flat = image.convert("L" if channels == 1 else "RGB")
            if self.resize:
                flat = flat.resize(self.resize[::-1], Image.Resampling.BILINEAR)
            yield np.asarray(flat).reshape(flat.height, flat.width, channels)


def endings() -> frozenset[str]:
    """How the names of image files end, for all formats that Pillow reads."""
    Image.init()
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def _header(raw: bytes, where: str) -> tuple[tuple[int, int], bool]:
    """Height and width of an image, and whether it is grey.

    Raises:
        DataError: it is none, has several frames, or more than 8 bits a value.
    """
    with _opened(raw, where) as image:
        if (frames := getattr(image, "n_frames", 1)) != 1:
            raise DataError(f"{where} holds {frames} images; store each in a file of its own")
        if image.mode not in GREY | COLOUR:
            raise DataError(f"{where} has pixels of mode {image.mode}, not 8 bits a value; import such data as .npz")
        return (image.height, image.width), image.mode in GREY


@contextmanager
def _opened(raw: bytes, where: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(raw)) as image:
            yield image
    except _FAULTS as error:
        said = "it is in no format that is known" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{where} cannot be read as an image: {said}") from error
