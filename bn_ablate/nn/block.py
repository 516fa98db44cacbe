"""The block that all networks are made of, with every ablated choice in it."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.nn.activations import activate
from bn_ablate.nn.channels import by_channel
from bn_ablate.nn.dropout import drop, rate_at
from bn_ablate.nn.norm import Normalization
from bn_ablate.nn.parameters import standardized
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import POST, PRE, Factors


class Block(nn.Module):
    """Linear -> [BN] -> activation -> [BN] -> [dropout], where linear is a Dense or a convolution without a bias.

    Where lanes with BN before and after the activation share a program, two activations, of which one is the identity,
    stand around the one normalization; so both placements cost one normalization, and the same code is a real branch
    lane by lane and a cheap select under `vmap`. Where all lanes agree, what they do not need is not there.
    A bias before BN would be taken away again with the batch mean: where BN comes `pre`, it is not added. So it is with
    every normalizer that subtracts a mean of each channel.

    Sows, as intermediates: `linear_output` (before BN), `activation_input`, `activation_output` (after the activation,
    before BN and dropout), and `shortcut` where one is added, or what is `carried` on.

    Attributes:
        index: which block of the network this is.
        linear: the linear map.
        structure: what the lanes of the program choose from.
        carries: a shortcut is added to what the linear map gives, and the sum is what the next shortcut carries.
    """

    index: int
    linear: nn.Module
    structure: Structure
    carries: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch ..."],
        factors: Factors,
        bits: UInt16[Array, "batch ..."] | None,
        *,
        train: bool,
        shortcut: Float[Array, "batch ..."] | None = None,
    ) -> tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]:
        """Run the block for one lane; what it gives, and what a shortcut that begins after it carries.

        Args:
            x: what the linear map is applied to.
            factors: of the lane.
            bits: the random bits of its dropout mask.
            train: whether BN uses batch statistics.
            shortcut: what is added where the block ends a residual: to BN's output (`before_add`), which for placement
                `post` comes after the activation, or to the linear map's output (`after_add`).
        """
        norm = factors.norm(self.index)
        if self.structure.normed != "some":
            norm = norm._replace(enabled=self.structure.normed == "all")
        post = factors.placement == POST
        product: Array = self._product(x, factors)
        bias = self.param("bias", nn.initializers.zeros_init(), product.shape[-1:], jnp.float32)
        absorbed = norm.enabled & factors.absorbs_bias(self.structure)
        (added,) = by_channel(product, jnp.where(absorbed & (factors.placement == PRE), 0.0, bias))
        z = product + added.astype(product.dtype)
        self.sow("intermediates", "linear_output", z)
        if shortcut is not None and not self.carries:
            self.sow("intermediates", "shortcut", shortcut)
        early_add, late_add = self._shares(shortcut, factors)
        z = carried = z if early_add is None else z + early_add
        if self.carries:
            self.sow("intermediates", "carried", carried)
        early = self._activate(z, factors, post, when=True)
        early_dropped = self._drop(early, factors, bits, norm.enabled, before_norm=True)
        normed = Normalization.of(self.structure, "norm")(early_dropped, norm, train=train)
        normed = normed if late_add is None else normed + late_add
        late = self._activate(normed, factors, post, when=False)
        self.sow("intermediates", "activation_input", jnp.where(post, z, normed))
        self.sow("intermediates", "activation_output", jnp.where(post, early, late))
        given = self._drop(late, factors, bits, norm.enabled, before_norm=False)
        return given, carried if self.carries else given

    def _product(self, x: Array, factors: Factors) -> Array:
        """What the linear map gives, with its kernel standardized where the lane says so."""
        share = self.structure.standardized
        index = factors.standardized.astype(jnp.int32) if share == "some" else int(share == "all")
        if share == "none":
            return self.linear(x)  # type: ignore[no-any-return]
        seen: Any = nn.map_variables(
            lambda linear, x: linear(x), "params", partial(standardized, index=index), init=self.is_initializing()
        )
        product: Array = seen(self.linear, x)
        return product

    def _shares(self, shortcut: Array | None, factors: Factors) -> tuple[Array | None, Array | None]:
        """What is added to the linear map's output, and what to BN's; None where no lane adds anything."""
        norms = ("after_add",) if self.carries else self.structure.residual_norms
        if shortcut is None or norms == ("before_add",):
            return None, shortcut
        if norms == ("after_add",):
            return shortcut, None
        return jnp.where(factors.after_add, shortcut, 0), jnp.where(factors.after_add, 0, shortcut)

    def _drop(
        self, x: Array, factors: Factors, bits: Array | None, normed: bool | Array, *, before_norm: bool
    ) -> Array:
        """The lane's dropout just before BN, or at the end of the block; the identity where it has none there.

        A block without BN has nothing to drop before: there, site `before_norm` is the end of the block.
        """
        last = self.index == factors.coverage.shape[-1] - 1
        end = not before_norm
        applies = {
            "block": end,
            "last": end and last,
            "before_norm": normed if before_norm else _not(normed),
            "ic": end,
        }
        rate = rate_at(self.structure.drop_sites, factors.dropout_site, factors.dropout_rate, applies)
        return x if rate is None else drop(x, rate, bits, self.structure.drop_kinds, factors.dropout_kind)

    def _activate(self, z: Array, factors: Factors, post: Array, *, when: bool) -> Array:
        """The lane's activation where `post` is `when`, else the identity."""
        placements, names = self.structure.placements, self.structure.activations
        if "post" not in placements:
            return z if when else activate(names, factors.activation, z)
        if placements == ("post",):
            return activate(names, factors.activation, z) if when else z
        return activate(("identity", *names), jnp.where(post == when, factors.activation + 1, 0), z)


def _not(condition: bool | Array) -> bool | Array:
    return not condition if isinstance(condition, bool) else ~condition
