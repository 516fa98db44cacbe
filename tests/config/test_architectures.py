"""Networks as descriptions: their blocks and shapes by hand, and the registry that names come from."""

from __future__ import annotations

from collections.abc import Iterator

import networks_table
import pytest

import bn_ablate as bn
from bn_ablate.config.architectures import NETWORKS, BlockSpec, NetworkSpec, layout_of, network

CONV = BlockSpec("conv3x3", 8)


@pytest.mark.parametrize(
    ("name", "depth", "width", "image", "words"),
    [
        ("mlp", 2, 16, (8, 8, 1), "D16 D16"),
        ("cnn", 5, 32, (32, 32, 3), "C32 C32 P C64 C64 P D128"),
        ("cnn", 1, 4, (8, 8, 1), "D16"),
        ("cnn", 8, 4, (4, 5, 1), "C4 C4 P C8 C8 P C16 C16 C16 D16"),  # a side of one pixel is not pooled
        ("resnet", 5, 8, (8, 8, 1), "C8 C8 C8+ C16/2 C16+ mean"),
        ("resnet_preact", 5, 32, (8, 8, 1), "C16 C32 C32+ C64/2 C64+ mean"),
    ],
)
def test_blocks_by_hand(name: str, depth: int, width: int, image: tuple[int, ...], words: str) -> None:
    assert NETWORKS[name].given(image, depth, width).words == words


def test_shapes_by_hand() -> None:
    """An odd side keeps its half when strided, and loses it when pooled."""
    cnn, resnet = layout_of("cnn", 4, 4, (7, 5, 3), 10), layout_of("resnet", 5, 4, (7, 5, 3), 10)
    assert [layer.output for layer in cnn.layers] == [(7, 5, 4), (7, 5, 4), (3, 2, 8), (16,)]
    assert [layer.kernel for layer in cnn.layers] == [9 * 3 * 4, 9 * 4 * 4, 9 * 4 * 8, 3 * 2 * 8 * 16]
    assert (cnn.entry, cnn.head, cnn.residuals) == ((7, 5, 3), 17 * 10, ())
    assert [layer.output for layer in resnet.layers] == [(7, 5, 4)] * 3 + [(4, 3, 8)] * 2
    assert (resnet.entry, resnet.head, resnet.residuals) == ((7, 5, 3), 9 * 10, (2, 4))
    assert layout_of("mlp", 1, 4, (7, 5, 3), 10).entry == (105,)


def test_the_residuals_of_a_resnet_are_divided_over_its_stages() -> None:
    """ResNet-20 has three residuals in each stage."""
    for depth in (3, 7, 9, 11, 19, 109):
        layout = layout_of("resnet", depth, 1, (32, 32, 3), 10)
        stages = [(1, 2, 4).index(layer.output[-1]) for layer in layout.layers[1:]]
        counts = [stages.count(stage) // 2 for stage in range(3)]
        assert stages == sorted(stages)
        assert counts == sorted(counts, reverse=True)
        assert counts[0] - counts[2] <= 1
        assert [layer.output[0] for layer in layout.layers[1:]] == [(32, 16, 8)[stage] for stage in stages]


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec((CONV,), flat=True),
        NetworkSpec((BlockSpec("dense", 8), CONV)),
        NetworkSpec((BlockSpec("dense", 8, pool=True),)),
        NetworkSpec((CONV._replace(pool=True),) * 4),
        NetworkSpec((CONV._replace(shortcut=2),)),
        NetworkSpec((CONV._replace(features=16), CONV._replace(shortcut=1))),
        NetworkSpec((CONV._replace(pool=True), CONV._replace(shortcut=2))),
    ],
    ids=["flat", "after dense", "dense pool", "too small", "from nowhere", "fewer channels", "over a pooling"],
)
def test_blocks_that_do_not_fit_are_refused(spec: NetworkSpec) -> None:
    with pytest.raises(ValueError, match=r"block \d of BlockSpec.* does not fit what it gets"):
        spec.layout((8, 8, 1), 10)


@pytest.fixture
def registry() -> Iterator[None]:
    """Afterwards only ours are registered."""
    yield
    for name in set(NETWORKS) - set(NETWORKS.own):
        NETWORKS.remove(NETWORKS.origin(name))  # type: ignore[arg-type]


def twins(image: tuple[int, ...], depth: int, width: int) -> NetworkSpec:
    return NetworkSpec((CONV, CONV))


@pytest.mark.usefixtures("registry")
def test_a_registered_network_is_a_level_like_any_other() -> None:
    table = {"name": "x", "model": {"architecture": "twins", "depth": 3}}
    with pytest.raises(
        bn.ConfigError, match=r"model.architecture: 'twins' is none of mlp, cnn, resnet, resnet_preact$"
    ):
        bn.build_study(table)
    with pytest.raises(bn.ConfigError, match=r"axes.architecture\[1\]: 5 is none of mlp, cnn, resnet, resnet_preact$"):
        bn.build_study({"name": "x", "axes": {"architecture": ["mlp", 5]}})
    network("twins")(twins)
    network("twins")(twins)  # as a cell of a notebook that is run again
    with pytest.raises(
        bn.ConfigError, match="'twin' is none of mlp, cnn, resnet, resnet_preact, twins; did you mean 'twins'"
    ):
        bn.build_study({"name": "x", "model": {"architecture": "twin"}})
    with pytest.raises(bn.ConfigError, match=r"model.depth: = 3 does not fit twins, which then has 2 blocks"):
        bn.make_plan(bn.build_study(table))
    assert bn.make_plan(bn.build_study(table, ["model.depth=2"])).n_lanes == 10


@pytest.mark.usefixtures("registry")
def test_a_name_belongs_to_one_network() -> None:
    with pytest.raises(ValueError, match="the network 'mlp' is one of bn_ablate's own; choose another name"):
        network("mlp")(twins)


def test_the_table_in_the_conventions_is_up_to_date() -> None:
    """If not: .venv/bin/python scripts/networks_table.py."""
    assert networks_table.PAGE.read_text(encoding="utf-8") == networks_table.page()
