"""Augmentations by hand: where each pixel comes from, how often, and that nothing but the key decides."""

from __future__ import annotations

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.config import ExtensionError
from bn_ablate.data.augmentation import AUGMENTATIONS, augment
from bn_ablate.plan import make_plan

N, H, W = 4000, 5, 4
ONE = np.arange(1.0, H * W + 1).reshape(H, W).astype(np.float32)
"""An image of which every pixel is another number, and none 0."""


def made(name: str, size: int = 2, seed: int = 0) -> np.ndarray:
    """(N, H, W): what becomes of N copies of the image."""
    images = jnp.tile(ONE[None, :, :, None], (N, 1, 1, 2))
    found = np.asarray(jax.jit(augment, static_argnums=(0, 1))(name, size, images, jax.random.key(seed)))
    np.testing.assert_array_equal(found[..., 0], found[..., 1])  # all channels alike
    return found[..., 0]


def evenly(outcomes: dict[bytes, np.ndarray], found: np.ndarray) -> None:
    """Every image in `found` is one of the outcomes, all of which are as frequent as chance has it (5 σ)."""
    counts = Counter(image.tobytes() for image in found)
    assert counts.keys() == outcomes.keys()
    share = 1 / len(outcomes)
    assert max(abs(n - N * share) for n in counts.values()) < 5 * np.sqrt(N * share * (1 - share))


def by_content(images: list[np.ndarray]) -> dict[bytes, np.ndarray]:
    return {np.ascontiguousarray(image).tobytes(): image for image in images}


def windows(padded: np.ndarray, size: int) -> list[np.ndarray]:
    places = range(2 * size + 1)
    return [padded[i : i + H, j : j + W] for i in places for j in places]


def test_none_is_nothing() -> None:
    np.testing.assert_array_equal(made("none"), np.tile(ONE, (N, 1, 1)))


def test_flip_mirrors_every_other_image_left_to_right() -> None:
    evenly(by_content([ONE, ONE[:, ::-1]]), made("flip"))


@pytest.mark.parametrize("size", [1, 2])
def test_crop_cuts_a_window_out_of_the_image_padded_with_zeros(size: int) -> None:
    outcomes = by_content(windows(np.pad(ONE, size), size))
    assert len(outcomes) == (2 * size + 1) ** 2
    evenly(outcomes, made("crop", size))


def test_shift_mirrors_the_edges() -> None:
    evenly(by_content(windows(np.pad(ONE, 2, mode="reflect"), 2)), made("shift", 2))


def test_crop_flip_is_both_and_the_two_are_independent() -> None:
    cut = windows(np.pad(ONE, 1), 1)
    evenly(by_content([*cut, *(image[:, ::-1] for image in cut)]), made("crop_flip", 1))


@pytest.mark.parametrize("size", [2, 3])
def test_cutout_is_a_square_around_any_pixel(size: int) -> None:
    images = []
    for i in range(H):
        for j in range(W):
            image = ONE.copy()
            top, left = i - size // 2, j - size // 2
            image[max(top, 0) : top + size, max(left, 0) : left + size] = 0.0
            images.append(image)
    evenly(by_content(images), made("cutout", size))


@pytest.mark.parametrize("name", AUGMENTATIONS.own)
def test_the_key_alone_decides(name: str) -> None:
    """Twice the same key, among others under vmap, and another key."""
    images = jnp.tile(ONE[None, None, :, :, None], (3, N, 1, 1, 1))
    keys = jnp.stack([jax.random.key(seed) for seed in (1, 0, 2)])
    together = jax.jit(jax.vmap(lambda x, key: augment(name, 2, x, key)))(images, keys)
    np.testing.assert_array_equal(together[1, ..., 0], made(name))
    assert (made(name, seed=1) == made(name)).all() == (name == "none")


def test_sizes_follow_the_height_where_a_study_gives_none() -> None:
    def pixels(height: int, **data: object) -> int:
        return bn.build_study({"name": "x", "data": data}).data.pixels(height)

    assert [pixels(height, augment="crop") for height in (4, 8, 28, 32)] == [1, 1, 3, 4]
    assert [pixels(32, augment=name) for name in ("none", "flip", "shift", "cutout")] == [0, 0, 4, 16]
    assert pixels(32, augment="crop", augment_size=2) == 2


def test_the_size_acts_where_there_is_one() -> None:
    axes = {"augment": ["none", "flip", "crop"], "augment_size": [1, 2]}
    assert make_plan(bn.build_study({"name": "x", "seeds": 1, "axes": axes})).n_lanes == 1 + 1 + 2


def test_a_users_own_is_one_like_ours() -> None:
    def negative(images: jax.Array, key: jax.Array) -> jax.Array:
        return -images

    def smaller(images: jax.Array, key: jax.Array) -> jax.Array:
        return images[:, 1:]

    for own in (negative, smaller):
        bn.augmentation(own.__name__)(own)
    np.testing.assert_array_equal(made("negative"), np.tile(-ONE, (N, 1, 1)))
    with pytest.raises(ExtensionError, match=r"'smaller' makes images of shape \(4000, 4, 4, 2\) of those of"):
        made("smaller")
    (lane,) = make_plan(bn.build_study({"name": "x", "seeds": 1, "data": {"augment": "negative"}})).lanes
    assert [own.kind for own in lane.cell.settings.own] == ["augmentation"]
    for own in (negative, smaller):
        AUGMENTATIONS.remove(AUGMENTATIONS.origin(own.__name__))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "data", "said"),
    [
        ((60, 5), {"augment": "flip"}, "data.augment: = flip is for images, and mine holds vectors"),
        (
            (60, 8, 4),
            {"augment": "crop", "augment_size": 4},
            "= 4 is too large for the images of mine, which are 8 × 4",
        ),
    ],
)
def test_what_such_images_have_no_room_for_is_refused(
    shape: tuple[int, ...], data: dict[str, object], said: str, tmp_path: object
) -> None:
    arrays = bn.Dataset.from_arrays(np.zeros(shape, np.float32), np.arange(60) % 2, name="mine")
    with pytest.raises(bn.ConfigError, match=said.replace(".", r"\.")):
        bn.run(bn.build_study({"name": "x", "seeds": 1, "data": data}), str(tmp_path), data=arrays)
