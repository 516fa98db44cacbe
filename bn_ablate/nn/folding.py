"""BN taken out of a network, or put into it, in the midst of training: what it computes in evaluation stays the same.

By its moving statistics BN is y = s·x + t, with s = γ/√(var + ε) and t = β − mean·s for each channel. Taken out, that
map goes into the weights of the linear map before it, or, where it stands behind the activation, into those behind
it. Put in, its statistics are those of a batch, and γ and β what makes it the identity of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.nn.channels import by_channel
from bn_ablate.nn.choose import choose
from bn_ablate.nn.norm import NormSettings, map_of
from bn_ablate.nn.statistics import Statistics, divisor, of_batch
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import POST, PRE, Factors


def folded(params: Any, batch_stats: Any, lane: Factors, structure: Structure) -> tuple[Any, Any]:
    """Parameters and statistics without BN: its map is in the weights, and what is left of it as it was at first.

    Before the activation, W' = W·diag(s) and b' = b·s + t, with b = 0 where it is not added. Behind it, the next linear
    map has W' = diag(s)·W and b' = b + t·W; there all linear maps are dense, and each gets what the block before gives.
    """
    params, batch_stats = dict(params), dict(batch_stats)
    depth = sum(name.startswith("block_") for name in params)
    for i in range(depth):
        name, norm = f"block_{i}", lane.norm(i)
        block, stats = dict(params[name]), batch_stats[name]["norm"]
        s, t = map_of(structure, block["norm"], Statistics(stats["mean"], stats["var"]), norm)
        pre, post = (norm.enabled & (lane.placement == place) for place in (PRE, POST))
        b = jnp.where(lane.absorbs_bias(structure), 0.0, block["bias"])
        kernel = block["linear"]["kernel"]
        block["linear"] = {**block["linear"], "kernel": jnp.where(pre, kernel * by_channel(kernel, s)[0], kernel)}
        block["bias"] = jnp.where(pre, b * s + t, block["bias"])
        block["norm"] = _neutral(norm.enabled, block["norm"], scale=1.0, bias=0.0)
        params[name] = block
        if "post" in structure.placements:
            behind = f"block_{i + 1}" if i + 1 < depth else "head"
            params[behind] = _behind(params[behind], post, s, t)
        batch_stats[name] = {**batch_stats[name], "norm": _neutral(norm.enabled, stats, mean=0.0, var=1.0)}
    return params, batch_stats


def _behind(module: Any, post: Array, s: Float[Array, " n"], t: Float[Array, " n"]) -> Any:
    """The parameters of a linear map that is given what BN was, where that stood behind the activation."""
    layer = module.get("linear", module)
    kernel = layer["kernel"]
    if kernel.ndim != 2 or kernel.shape[0] != len(s):  # no lane's BN goes from here: `config.spans` refuses it
        return module
    changed = {**layer, "kernel": jnp.where(post, jnp.expand_dims(s, 1) * kernel, kernel)}
    bias = jnp.where(post, module["bias"] + t @ kernel, module["bias"])
    return {**module, "linear": changed, "bias": bias} if "linear" in module else {**changed, "bias": bias}


def put_in(params: Any, batch_stats: Any, seen: Any, lane: Factors, structure: Structure) -> tuple[Any, Any]:
    """Parameters and statistics with BN: by the statistics of what is `seen` to arrive, and the identity of that.

    γ is √(var + ε) where the normalizer divides, else 1, and β is the mean where it subtracts, else 0. A bias that BN
    takes away is 0 from then on, and the moving mean is that of what arrives without it.

    Args:
        seen: the intermediates of a training pass without BN.
    """
    params, batch_stats = dict(params), dict(batch_stats)
    for name, module in params.items():
        if name == "input_norm":
            norm = lane.input_norm(structure)
            params[name], batch_stats[name] = _identity(
                module, batch_stats[name], seen[name]["input"][0], 0.0, norm, structure
            )
        elif name.startswith("block_"):
            norm = lane.norm(int(name.removeprefix("block_")))
            absorbed = norm.enabled & lane.absorbs_bias(structure) & (lane.placement == PRE)
            bias = jnp.where(absorbed, module["bias"], 0.0)
            x = seen[name]["norm"]["input"][0]
            of_norm, stats = _identity(module["norm"], batch_stats[name]["norm"], x, bias, norm, structure)
            params[name] = {**module, "norm": of_norm, "bias": module["bias"] - bias}
            batch_stats[name] = {**batch_stats[name], "norm": stats}
    return params, batch_stats


def _identity(
    params: Any, stats: Any, x: Float[Array, "batch ... channels"], bias: Any, norm: NormSettings, structure: Structure
) -> tuple[Any, Any]:
    """γ, β and statistics of one BN by those of x, of which the `bias` goes away."""
    names = structure.norm_kinds
    mean, var = choose(norm.kind if len(names) > 1 else 0, [partial(_arriving, name) for name in names], x)
    moves = [jnp.array(some)[norm.kind] for some in zip(*(NORMALIZERS[name].moves for name in names), strict=True)]
    subtracts, divides = (norm.enabled & flag for flag in moves)
    outside = norm.outside if "epsilon_on" in structure.choices else None
    scale = jnp.where(divides, divisor(var, norm.epsilon, outside), 1.0)
    made = {"scale": scale, "bias": jnp.where(subtracts, mean, 0.0)}
    kept = {"mean": jnp.where(subtracts, mean - bias, stats["mean"]), "var": jnp.where(divides, var, stats["var"])}
    return (
        {**params, **{name: jnp.where(norm.enabled, new, params[name]) for name, new in made.items()}},
        {**stats, **kept},
    )


def _arriving(name: str, x: Array) -> Statistics:
    """The statistics of a batch, of a normalizer that has moving ones; nothing of the others, which do not come."""
    kind = NORMALIZERS[name]
    nothing = jnp.zeros(x.shape[-1:], jnp.float32)
    return of_batch(kind, x.astype(jnp.float32)) if kind.running == "average" else Statistics(nothing, nothing)


def _neutral(gone: bool | Array, leaves: Any, **values: float) -> Any:
    """The leaves, those of a BN that is `gone` at the `values` that they begin with."""
    return {
        **leaves,
        **jax.tree.map(lambda value, leaf: jnp.where(gone, value, leaf), values, {n: leaves[n] for n in values}),
    }
