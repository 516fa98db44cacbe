"""The command about weights: `bn-ablate weights`."""

from __future__ import annotations

from typing import Annotated

import tyro

from bn_ablate.cli.arguments import Extensions, Folder, Only, Place, fail


def weights(
    results: Folder,
    output: Annotated[Place, tyro.conf.arg(metavar="FILE", help="where they go, as net.safetensors")],
    only: Only = (),
    at: Annotated[
        str, tyro.conf.arg(metavar="WHEN", help="final, best (the lowest validation loss), or a step that was measured")
    ] = "final",
    extensions: Extensions = (),
) -> None:
    """Write the weights of one lane as safetensors, for PyTorch, Flax or what you like; trains it again if need be."""
    from bn_ablate.cli.console import make_console
    from bn_ablate.config import load_extension
    from bn_ablate.config.only import parse_only
    from bn_ablate.results import open_results, refuse_inside
    from bn_ablate.results.files import whole_file
    from bn_ablate.runs.stored_weights import find_weights

    if not (at in ("final", "best") or at.isdecimal()):
        fail(f"bn-ablate: --at: {at!r} is none of final, best and the steps that were measured", 2)
    refuse_inside(output)
    for file in extensions:
        load_extension(file)
    console = make_console()
    with console.status("looking for the weights, or training the lane again"):
        found = find_weights(open_results(results), parse_only(only), int(at) if at.isdecimal() else at)  # type: ignore[arg-type]
    with whole_file(output) as file:
        found.weights.write(file)
    if found.replayed:
        console.print(f"note: {found.replayed}", style="yellow", soft_wrap=True, markup=False)
    tensors = found.weights.tensors.values()
    print(
        f"{output}: {len(tensors)} tensors, {sum(tensor.size for tensor in tensors):,} numbers, after step {found.step}"
    )
