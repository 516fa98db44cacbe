"""Networks, described: which blocks they have for images of a shape, a depth and a width. `nn` makes modules of that.

What else depends on a network follows from its description: the shapes of random bits, the estimate of its memory,
which depths it has, whether it takes vectors, and where factors of residuals act.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from bn_ablate.config.registry import Registry

Shape = tuple[int, ...]
T = TypeVar("T", bound=Callable[..., Any])


class Extent(NamedTuple):
    """How large a data set is: `(height, width, channels)` of an image, classes, examples, and bytes of a value."""

    image: Shape
    classes: int
    examples: int
    itemsize: int = 1

    @property
    def vectors(self) -> bool:
        """Whether its examples are vectors, kept as images of one pixel."""
        return self.image[:2] == (1, 1)


TYPICAL = Extent((32, 32, 3), 10, 60_000)
"""A data set for which a network is asked for what does not depend on it: its depths, where its shortcuts end."""


class BlockSpec(NamedTuple):
    """What one block does, besides what the factors say.

    Attributes:
        linear: a dense layer, before which places are flattened, or a 3×3 convolution.
        features: units or channels of its output.
        stride: of the convolution.
        pool: the block's output is max-pooled 2×2.
        shortcut: how many blocks the shortcut that ends in this block passes, itself included; 0: there is none.
    """

    linear: Literal["dense", "conv3x3"]
    features: int
    stride: int = 1
    pool: bool = False
    shortcut: int = 0


class Layer(NamedTuple):
    """One block as its network has it.

    Attributes:
        kernel: parameters of its linear map.
        output: the shape of its output for one example, before pooling; channels last.
        residual: whether a shortcut is added in it, before or after BN.
    """

    kernel: int
    output: Shape
    residual: bool


class Layout(NamedTuple):
    """A network for images of one shape.

    Attributes:
        entry: the shape as which an example enters: BN of the input has statistics for each of its last axis.
        layers: its blocks.
        head: parameters of all that is in no block: the layer to the logits.
        carried: the blocks whose sums, before BN and activation, shortcuts carry on, or end in.
    """

    entry: Shape
    layers: tuple[Layer, ...]
    head: int
    carried: tuple[int, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether examples enter as vectors, which have no places."""
        return len(self.entry) == 1

    @property
    def residuals(self) -> tuple[int, ...]:
        """The blocks in which a shortcut ends."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.residual)


class NetworkSpec(NamedTuple):
    """A network: blocks in a row, then a dense layer to the logits.

    Attributes:
        blocks: first to last.
        flat: images are flattened before they enter; so the network takes vectors too.
        mean: the logits are of the mean over places, not of all that is there.
        preactivated: a shortcut is added to what a linear map gives, and the next one carries that sum: BN and
            activation come after it, and nothing is on the shortcuts' way (He et al. 2016, arXiv 1603.05027).
    """

    blocks: tuple[BlockSpec, ...]
    flat: bool = False
    mean: bool = False
    preactivated: bool = False

    def layout(self, image: Shape, classes: int) -> Layout:
        """The network's shapes for such images.

        Raises:
            ValueError: a block cannot be applied to what the one before it gives.
        """
        entry = (math.prod(image),) if self.flat else image
        shapes, layers = [entry], []
        for i, block in enumerate(self.blocks):
            *sides, channels = shapes[i]
            dense = block.linear == "dense"
            fan_in = math.prod(shapes[i]) if dense else 9 * channels
            places = () if dense else tuple(-(-side // block.stride) for side in sides)
            output: Shape = (*places, block.features)
            applies = dense or len(places) == 2
            pools = not block.pool or min(places, default=0) >= 2
            if not (applies and pools and self._adds(i, shapes, output)):
                raise ValueError(f"block {i} of {block} does not fit what it gets, {'×'.join(map(str, shapes[i]))}")
            layers.append(Layer(fan_in * block.features, output, block.shortcut > 0 and not self.preactivated))
            shapes.append((*(side // 2 for side in places), block.features) if block.pool else output)
        features = shapes[-1][-1] if self.mean else math.prod(shapes[-1])
        return Layout(entry, tuple(layers), (features + 1) * classes, self.carried)

    @property
    def carried(self) -> tuple[int, ...]:
        """The blocks whose sums, before BN and activation, shortcuts carry on, or end in."""
        ends = {i for i, block in enumerate(self.blocks) if block.shortcut and self.preactivated}
        return tuple(sorted(ends | {i - self.blocks[i].shortcut for i in ends}))

    def _adds(self, block: int, shapes: list[Shape], output: Shape) -> bool:
        """Whether the shortcut into `block`, if there is one, can be added to its output; `shapes`: what blocks get."""
        begins = block + 1 - self.blocks[block].shortcut
        if begins > block:
            return True
        if begins < self.preactivated:  # before the first block there is no sum
            return False
        *sides, channels = shapes[begins]
        kept = tuple(-(-side // self.stride_to(block)) for side in sides)
        return kept == output[:-1] and channels <= output[-1]

    def stride_to(self, block: int) -> int:
        """Of how many pixels in a row the shortcut into `block` keeps one."""
        begins = block + 1 - self.blocks[block].shortcut
        return math.prod(passed.stride for passed in self.blocks[begins : block + 1])

    @property
    def words(self) -> str:
        """The blocks as papers write them: C convolution, /2 its stride, D dense, + end of a shortcut; P pooling."""
        said = []
        for block in self.blocks:
            stride, end = f"/{block.stride}" * (block.stride > 1), "+" * (block.shortcut > 0)
            said += [f"{block.linear[0].upper()}{block.features}{stride}{end}", *["P"] * block.pool]
        return " ".join([*said, *["mean"] * self.mean])


class Architecture(NamedTuple):
    """A network as it is registered.

    Attributes:
        title: what reports call it.
        given: a function of image shape, depth and width to a `NetworkSpec`; or a Linen module, `nn.Network`.
    """

    title: str
    given: Any

    @property
    def is_module(self) -> bool:
        """Whether the network is a module, and not described."""
        return isinstance(self.given, type)


NETWORKS: Registry[Architecture] = Registry("network", "model.architecture", "mlp", "cnn", "resnet", "resnet_preact")
"""By name."""

ArchitectureName = Annotated[str, NETWORKS.named]


def network(name: str, title: str = "") -> Callable[[T], T]:
    """Register what is decorated as the network `name`, which `model.architecture` may then say; reports say `title`.

    It is a function of the shape of an image, (height, width, channels), of `model.depth`, which counts the blocks, and
    of `model.width`, to a `NetworkSpec`, and raises a ValueError where the depth does not fit; or a Linen module of the
    class `bn_ablate.nn.Network`.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> @bn.network("funnel")
        ... def funnel(image, depth, width):
        ...     return bn.NetworkSpec(tuple(bn.BlockSpec("dense", width >> i) for i in range(depth)), flat=True)
        >>> [block.features for block in funnel((8, 8, 1), depth=3, width=64).blocks]
        [64, 32, 16]
        >>> bn.make_plan(bn.build_study(name="mine", axes={"architecture": ["mlp", "funnel"]})).n_lanes
        20
    """

    def register(given: T) -> T:
        NETWORKS.add(name, Architecture(title or name, given), given)
        return given

    return register


def layout_of(architecture: str, depth: int, width: int, image: Shape, classes: int) -> Layout:
    """The shapes of a network.

    Where results are read without the file that the network comes from, they are not known: shortcuts then count as
    being everywhere, so that no remark is made which might be false.

    Raises:
        ValueError: it has no such depth, or does not take such images.
    """
    if (found := NETWORKS.get(architecture)) is None:
        return Layout(image, (Layer(0, (width,), residual=True),) * depth, 0)
    layout = _layout(found, depth, width, image, classes)
    if len(layout.layers) != depth:
        raise ValueError(f"= {depth} does not fit {architecture}, which then has {len(layout.layers)} blocks")
    return layout


@lru_cache(4096)
def _layout(network: Architecture, depth: int, width: int, image: Shape, classes: int) -> Layout:
    if network.is_module:
        traced: Layout = network.given.layout(image, depth, width, classes)
        return traced
    spec: NetworkSpec = network.given(image, depth, width)
    return spec.layout(image, classes)


def title_of(architecture: str) -> str:
    """What reports call a network; its name, where its file was not loaded."""
    found = NETWORKS.get(architecture)
    return found.title if found else architecture


@network("mlp", "MLP")
def mlp(image: Shape, depth: int, width: int) -> NetworkSpec:
    """Images flattened in the order height, width, channel; `depth` Dense blocks of `width` units."""
    return NetworkSpec((BlockSpec("dense", width),) * depth, flat=True)


@network("cnn", "CNN")
def cnn(image: Shape, depth: int, width: int) -> NetworkSpec:
    """`depth` − 1 blocks of a 3×3 convolution, then a Dense block of 4 · `width` units.

    The convolutions have `width` channels, doubled after each pooling; 2×2 max-pooling follows every second of them,
    as long as both sides have 2 pixels. In the manner of VGG (Simonyan & Zisserman 2015, arXiv 1409.1556).
    """
    side, channels, blocks = min(image[:2]), width, []
    for i in range(depth - 1):
        pool = i % 2 == 1 and side >= 2
        blocks.append(BlockSpec("conv3x3", channels, pool=pool))
        side, channels = (side // 2, 2 * channels) if pool else (side, channels)
    return NetworkSpec((*blocks, BlockSpec("dense", 4 * width)))


@network("resnet", "ResNet")
def resnet(image: Shape, depth: int, width: int) -> NetworkSpec:
    """A stem and (`depth` − 1) / 2 residuals of two 3×3 convolutions, over three stages; then the mean over places.

    The stages have `width`, 2 · `width` and 4 · `width` channels, and the first ones one residual more where they
    cannot be equal; the first convolution of a later stage has stride 2. Shortcuts have no parameters ("option A"):
    every other pixel from the first on, zeros for new channels. Depth 19 and width 16 are ResNet-20, whose twentieth
    layer is the one to the logits (He et al. 2016, arXiv 1512.03385, section 4.2).
    """
    return NetworkSpec(_residual_blocks(depth, width, width), mean=True)


@network("resnet_preact", "pre-activation ResNet")
def resnet_preact(image: Shape, depth: int, width: int) -> NetworkSpec:
    """A stem, whose sums go from residual to residual: each is BN, activation, convolution, and these three once more.

    Stages, strides and shortcuts are those of the resnet; the last sum has BN and an activation before the mean over
    places. Each convolution is a block, with the BN and the activation that follow it on the way to the next one. The
    stem has `width` channels, and 16 at most: depth 25 and width 160 are a WRN-28-10 but for its three convolutions on
    shortcuts (He et al. 2016, arXiv 1603.05027; Zagoruyko & Komodakis 2016, arXiv 1605.07146).
    """
    return NetworkSpec(_residual_blocks(depth, width, min(width, 16)), mean=True, preactivated=True)


def _residual_blocks(depth: int, width: int, stem: int) -> tuple[BlockSpec, ...]:
    """A stem of so many channels, and residuals of two blocks, over three stages.

    Raises:
        ValueError: there is no such depth.
    """
    residuals, odd = divmod(depth - 1, 2)
    if odd or not residuals:
        fitting = " or ".join(str(n) for n in (depth - 1, depth + 1) if n >= 3) if odd else "3"
        raise ValueError(f"= {depth} does not fit a resnet: a stem and two blocks per residual make {fitting}")
    each, more = divmod(residuals, 3)
    blocks = [BlockSpec("conv3x3", stem)]
    for stage in range(3):
        for i in range(each + (stage < more)):
            features = width * 2**stage
            blocks += [
                BlockSpec("conv3x3", features, stride=2 if stage and not i else 1),
                BlockSpec("conv3x3", features, shortcut=2),
            ]
    return tuple(blocks)
