"""What a lane says when more is asked of it, held to NumPy on networks small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.config.measures import AVERAGING, PARTS
from bn_ablate.config.names import PLACEMENTS
from bn_ablate.config.quantity import REQUESTS, TABLES
from bn_ablate.data import Split, load
from bn_ablate.data.permutation import permutation
from bn_ablate.engine import Engine, shards_of
from bn_ablate.engine.evaluate import Evaluation
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.extras import Extras, take_extras, views_of
from bn_ablate.engine.passes import chosen
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.train import Batch, TrainState, init_state, loss_fn
from bn_ablate.engine.views import VIEWS, blank, look_through, passes_of, see
from bn_ablate.engine.whole_splits import settled
from bn_ablate.nn import Factors, lane_factors, stack_factors
from bn_ablate.plan import make_plan
from bn_ablate.results.recording.frames import tables_of

Tree = dict[str, Any]
DEPTH, WIDTH, CLASSES = 2, 5, 3
N_TRAIN, N_VALIDATION, N_TEST = 23, 6, 11
BATCH, PASS = 4, 5  # neither divides a part
TABLE: dict[str, Any] = {
    "name": "extras",
    "model": {"depth": DEPTH, "width": WIDTH},
    "train": {"batch_size": BATCH, "steps": 10},
    "measure": {"eval_batch": PASS, "also": list(REQUESTS)},
    "axes": {"placement": list(PLACEMENTS)},
}


class Setting(NamedTuple):
    """A network with random parameters and statistics, and data for it."""

    program: Program
    factors: dict[str, Factors]
    state: TrainState
    examples: Examples
    seed: SeedExamples
    split: Split
    look: Callable[..., Extras]

    def taken(self, placement: str, thorough: bool = True, **changes: Any) -> Extras:
        """The extras in NumPy."""
        state = self.state._replace(**changes)
        found = self.look(self.factors[placement], state, jnp.bool_(thorough))
        return jax.tree.map(np.asarray, found)  # type: ignore[no-any-return]

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The standardized images of a part as rows, and their labels."""
        indices = getattr(self.split, name)
        x, y = self.examples.take(indices, self.seed)
        return np.asarray(x, float).reshape(len(indices), -1), np.asarray(y)


def over(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    split: Split,
    whole: bool,
    view: str,
    params: Any,
    batch_stats: Any,
) -> Any:
    """What one lane shows in a view, over all examples at once."""
    passes, few = passes_of(VIEWS[view], program, split)
    n = few if view == "train_mode" or not whole else len(passes.indices)
    nothing = blank(VIEWS[view], program, batch_stats)
    given = (examples, seed, passes, n, factors, state.step, params, batch_stats, nothing)
    return look_through(program, VIEWS[view], *given)


def extras(
    program: Program, examples: Examples, seed: SeedExamples, split: Split
) -> Callable[[Factors, TrainState, Any], Extras]:
    """What takes the extras of one lane, in one program, with all that is seen of whole splits."""

    @jax.jit
    def look(factors: Factors, state: TrainState, thorough: Any) -> Extras:
        views = set().union(*views_of(program))
        lane = (program, factors, state, examples, seed)
        sight = see(views, program, state, partial(over, *lane, split, True), partial(settled, program, factors))
        return take_extras(*lane, chosen(split, program.measure.probe, BATCH), sight.seen, thorough)

    return look


@pytest.fixture(scope="module")
def setting() -> Setting:
    cells = make_plan(bn.build_study(TABLE)).cells
    program = program_of([cell.settings for cell in cells], (2, 2, 1), CLASSES)
    factors = {cell.levels["placement"]: lane_factors(cell.settings, program.structure) for cell in cells}
    rng = np.random.default_rng(0)
    state = jax.jit(partial(init_state, program))(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf + rng.normal(0, 0.3, leaf.shape), jnp.float32), state.params)
    stats = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.5, 2, leaf.shape), jnp.float32), state.batch_stats)
    n = N_TRAIN + N_VALIDATION + N_TEST
    images, labels = rng.integers(0, 256, (n, 2, 2, 1)), rng.integers(0, CLASSES, n)
    train, validation, test = np.split(rng.permutation(n).astype(np.int32), [N_TRAIN, N_TRAIN + N_VALIDATION])
    mean, std = np.full((2, 2, 1), 128, np.float32), np.full((2, 2, 1), 70, np.float32)
    seed = SeedExamples(jnp.asarray(mean), jnp.asarray(std), seed=jnp.int32(0))
    split = Split(train, validation, test)
    examples = Examples(jnp.asarray(images, jnp.uint8), jnp.asarray(labels, jnp.int32))
    look = extras(program, examples, seed, split)
    return Setting(program, factors, state._replace(params=params, batch_stats=stats), examples, seed, split, look)


def evaluated(found: Extras, how: str) -> Evaluation:
    """The loss and accuracy on each part with `recalibrated` or `batch` statistics."""
    loss, accuracy = (
        np.stack([found.history[f"{how}_{part}_{what}"] for part in PARTS]) for what in Evaluation._fields
    )
    return Evaluation(loss, accuracy)  # type: ignore[arg-type]


def forward(params: Tree, x: np.ndarray, placement: str, moving: Tree | None = None) -> tuple[np.ndarray, Tree]:
    """Logits; and what each block has, its BN's input and its activation's output. BN by `moving`, or by the batch."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    seen: Tree = {}

    def norm(name: str, h: np.ndarray) -> np.ndarray:
        own = {"mean": h.mean(0), "var": h.var(0)}
        stats = own if moving is None else jax.tree.map(lambda leaf: np.asarray(leaf, float), moving[name]["norm"])
        seen.setdefault(name, {}).update(arriving=own)
        p = params[name]["norm"]
        return p["scale"] * (h - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) + p["bias"]

    for i in range(DEPTH):
        name = f"block_{i}"
        z = x @ params[name]["linear"]["kernel"] + (0.0 if placement == "pre" else params[name]["bias"])
        z = norm(name, z) if placement == "pre" else z
        a = np.maximum(z, 0.0)
        seen.setdefault(name, {})["output"] = a
        x = norm(name, a) if placement == "post" else a
    return x @ params["head"]["kernel"] + params["head"]["bias"], seen


def scores(logits: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each example, and whether it is right."""
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_p[np.arange(len(y)), y], logits.argmax(1) == y


def population(setting: Setting, placement: str) -> Tree:
    """The statistics of a batch that is the whole training set."""
    _, seen = forward(setting.state.params, setting.part("train")[0], placement)
    return {name: {"norm": block["arriving"]} for name, block in seen.items()}


@pytest.mark.parametrize("placement", ["pre", pytest.param("post", marks=pytest.mark.slow)])
def test_recalibrated_statistics_are_those_of_the_whole_training_set(setting: Setting, placement: str) -> None:
    found = evaluated(setting.taken(placement), "recalibrated")
    for i, name in enumerate(("train", "validation", "test")):
        x, y = setting.part(name)
        losses, hits = scores(forward(setting.state.params, x, placement, population(setting, placement))[0], y)
        np.testing.assert_allclose(found.loss[i], losses.mean(), rtol=1e-4)
        np.testing.assert_allclose(found.accuracy[i], hits.mean(), rtol=1e-6)


def test_a_mean_that_is_off_and_a_variance_that_is_off_are_distinguished(setting: Setting) -> None:
    """In the second layer, by 1.26 deviations and by four times the variance: its own part alone repairs each."""
    right, x_y = population(setting, "pre"), {part: setting.part(part) for part in PARTS}
    last = right["block_1"]["norm"]
    wrong = {
        "nothing": last,
        "mean": last | {"mean": last["mean"] + 1.26 * np.sqrt(last["var"] + 1e-5)},
        "variance": last | {"var": 4.0 * (last["var"] + 1e-5) - 1e-5},
    }
    wrong["both"] = wrong["mean"] | {"var": wrong["variance"]["var"]}

    def losses(stats: Tree) -> list[float]:
        return [float(scores(forward(setting.state.params, x, "pre", stats)[0], y)[0].mean()) for x, y in x_y.values()]

    for off, norm in wrong.items():
        stats = jax.tree.map(jnp.float32, right | {"block_1": {"norm": norm}})
        found = setting.taken("pre", batch_stats=stats)
        ratio = 4.0 if off in ("variance", "both") else 1.0
        np.testing.assert_allclose(found.layers["variance_shift"], [1.0, ratio], rtol=1e-3)
        shift = {"mean": 1.26, "both": 1.26 / 2}.get(off, 0.0)
        np.testing.assert_allclose(found.layers["mean_shift"], [0.0, shift], rtol=1e-3, atol=1e-4)
        for part in ("mean", "variance"):
            key = {"mean": "mean", "variance": "var"}[part]
            repaired = losses(right | {"block_1": {"norm": dict(norm) | {key: last[key]}}})
            got = [float(found.history[f"{part}_recalibrated_{where}_loss"]) for where in PARTS]
            np.testing.assert_allclose(got, repaired, rtol=1e-4)
    for norm in (wrong["mean"], wrong["variance"]):
        assert abs(losses(right | {"block_1": {"norm": norm}})[0] - losses(right)[0]) > 0.01


def test_the_training_examples_in_train_mode(setting: Setting) -> None:
    """As among what `evaluations` has, and between the start and the end, too."""
    found, between = setting.taken("pre"), setting.taken("pre", thorough=False)
    for what in Evaluation._fields:
        np.testing.assert_allclose(found.history[f"train_mode_{what}"], found.history[f"batch_train_{what}"], rtol=1e-6)
        assert found.history[f"train_mode_{what}"] == between.history[f"train_mode_{what}"]


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_batch_statistics_are_those_of_batches_dealt_from_each_part(setting: Setting, placement: str) -> None:
    """23, 6 and 11 examples in batches of 4: every one counts once, and the last batches borrow from their own part."""
    found = evaluated(setting.taken(placement), "batch")
    for i, name in enumerate(("train", "validation", "test")):
        x, y = setting.part(name)
        k = -(-len(x) // BATCH)
        total = np.zeros(2)
        for j in range(k):
            places = [j + k * m for m in range(BATCH)]
            logits, _ = forward(setting.state.params, x[[p % len(x) for p in places]], placement)
            own = [p for p in places if p < len(x)]
            losses, hits = scores(logits[: len(own)], y[own])
            total += losses.sum(), hits.sum()
        np.testing.assert_allclose([found.loss[i], found.accuracy[i]], total / len(x), rtol=1e-4)


def test_without_bn_it_does_not_matter_which_statistics_it_would_have(setting: Setting) -> None:
    found = setting.taken("none")
    for i, name in enumerate(("train", "validation", "test")):
        x, y = setting.part(name)
        losses, hits = scores(forward(setting.state.params, x, "none")[0], y)
        for evaluation in (evaluated(found, "recalibrated"), evaluated(found, "batch")):
            np.testing.assert_allclose(evaluation.loss[i], losses.mean(), rtol=1e-5)
            np.testing.assert_allclose(evaluation.accuracy[i], hits.mean(), rtol=1e-6)


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_the_variance_shift_is_that_of_what_arrives_in_evaluation(setting: Setting, placement: str) -> None:
    found = setting.taken(placement).layers
    moving = setting.state.batch_stats
    _, seen = forward(setting.state.params, setting.part("train")[0], placement, moving)
    for i, (name, block) in enumerate(seen.items()):
        log_ratio = np.log((block["arriving"]["var"] + 1e-5) / (np.asarray(moving[name]["norm"]["var"]) + 1e-5))
        np.testing.assert_allclose(found["variance_shift"][i], np.exp(np.abs(log_ratio).mean()), rtol=1e-3)
        np.testing.assert_allclose(found["variance_ratio"][i], np.exp(log_ratio.mean()), rtol=1e-3)


def test_a_shift_that_was_planted_is_found_and_recalibration_takes_it_away(setting: Setting) -> None:
    """Moving statistics of the population but for the second BN, whose variance is a quarter of what it should be."""
    right = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), population(setting, "pre"))
    wrong = {name: {"norm": dict(block["norm"])} for name, block in right.items()}
    wrong["block_1"]["norm"]["var"] = wrong["block_1"]["norm"]["var"] / 4
    found = setting.taken("pre", batch_stats=wrong)
    np.testing.assert_allclose(found.layers["variance_shift"], [1.0, 4.0], rtol=1e-2)
    np.testing.assert_allclose(found.layers["variance_ratio"], [1.0, 4.0], rtol=1e-2)
    losses = (evaluated(lane, "recalibrated").loss for lane in (found, setting.taken("pre", batch_stats=right)))
    np.testing.assert_allclose(*losses)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_units_that_were_switched_off_are_dead(setting: Setting, placement: str) -> None:
    """Two units of the first block are pushed below zero, by β where BN comes before the activation, else by a bias."""
    params = jax.tree.map(lambda leaf: leaf, setting.state.params)
    where = params["block_0"]["norm"] if placement == "pre" else params["block_0"]
    where["bias"] = where["bias"].at[jnp.array([1, 3])].set(-100.0)
    found = setting.taken(placement, params=params).layers
    _, seen = forward(params, setting.part("train")[0], placement)
    for i in range(DEPTH):
        zero = seen[f"block_{i}"]["output"] == 0
        np.testing.assert_allclose(found["dead_train"][i], zero.all(0).mean(), rtol=1e-6)
        np.testing.assert_allclose(found["inactive_train"][i], zero.mean(), rtol=1e-6)
    assert found["dead_train"][0] >= 2 / WIDTH


def test_gamma_and_beta_of_the_lane(setting: Setting) -> None:
    found = setting.taken("post").layers
    for i in range(DEPTH):
        norm = setting.state.params[f"block_{i}"]["norm"]
        np.testing.assert_allclose(found["gamma_max"][i], norm["scale"].max(), rtol=1e-6)
        np.testing.assert_allclose(found["beta_negative"][i], (np.asarray(norm["bias"]) < 0).mean(), rtol=1e-6)
    without = setting.factors["post"]._replace(use_scale=jnp.bool_(False), use_bias=jnp.bool_(False))
    bare = setting.look(without, setting.state, jnp.bool_(True)).layers
    np.testing.assert_array_equal(bare["gamma_min"], 1.0)
    np.testing.assert_array_equal(bare["beta_max"], 0.0)


def test_the_landscape_is_that_of_the_first_batch(setting: Setting) -> None:
    """At the smallest and the largest step size, by way of the loss function alone."""
    found = setting.taken("pre").history
    factors = setting.factors["pre"]
    batch = Batch(*setting.examples.take(setting.split.train[:BATCH], setting.seed), None)
    state = setting.state

    @jax.jit
    def at(params: Tree) -> tuple[jax.Array, Tree]:
        return jax.value_and_grad(lambda p: loss_fn(setting.program, factors, p, state.batch_stats, batch)[0])(params)

    _, g = jax.tree.map(np.asarray, at(state.params))
    losses, changes, smoothness = [], [], []
    for size in 0.1 * np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0]):
        moved = jax.tree.map(lambda p, d, size=size: np.float32(p - size * d), state.params, g)
        loss, there = jax.tree.map(np.asarray, at(moved))
        apart = [np.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(there), jax.tree.leaves(g), strict=True)]
        length = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(g)))
        losses.append(float(loss))
        changes.append(np.sqrt(sum(apart)))
        smoothness.append(changes[-1] / (size * length))
    np.testing.assert_allclose(found["loss_range"], np.ptp(losses), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["gradient_change"], max(changes), rtol=1e-3)
    np.testing.assert_allclose(found["smoothness"], max(smoothness), rtol=1e-3)


def test_between_the_first_and_the_last_measurement_the_dear_ones_are_not_taken(setting: Setting) -> None:
    found = setting.taken("pre", thorough=False)
    dear = [
        value
        for table, measures in found._asdict().items()
        for name, value in measures.items()
        if TABLES[table][name].ends
    ]
    assert len(dear) == 5 + 18
    for leaf in dear:
        assert not leaf.any()
    assert found.history["smoothness"] > 0


def test_between_the_ends_curves_are_on_some_examples_of_each_part(setting: Setting) -> None:
    """On 8 of 23, all 6 and 8 of 11, in passes of 5; at the ends on all."""
    measure = setting.program.measure.model_copy(update={"examples": 8})
    partly = replace(setting.program, measure=measure)
    few = Split(*(part[permutation(len(part), "measured", 0)[:8]] for part in setting.split))
    assert [len(part) for part in few] == [8, 6, 8]
    lane = (setting.factors["pre"], setting.state, setting.examples, setting.seed)
    weights = (setting.state.params, setting.state.batch_stats)
    for whole, split in ((True, setting.split), (False, few)):
        found = over(partly, *lane, setting.split, whole, "evaluated", *weights)
        wanted = over(setting.program, *lane, split, True, "evaluated", *weights)
        np.testing.assert_array_equal(found.n, [len(part) for part in split])
        np.testing.assert_allclose(Evaluation.of(found), Evaluation.of(wanted), rtol=1e-6)


def test_a_lane_that_is_not_finite_measures_nothing(setting: Setting) -> None:
    params = jax.tree.map(lambda leaf: leaf, setting.state.params)
    params["block_0"]["linear"]["kernel"] = params["block_0"]["linear"]["kernel"].at[0, 0].set(jnp.nan)
    found = setting.taken("pre", params=params)
    dear = [value for name, value in found.layers.items() if TABLES["layers"][name].ends]
    accuracies = [value for name, value in found.history.items() if name.endswith("accuracy")]
    numbers = (dear, [value for name, value in found.history.items() if not name.endswith("accuracy")])
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(numbers))
    assert len(accuracies) == 7
    assert not np.any(accuracies)


def test_dropout_before_bn_shifts_its_variance_by_the_share_it_keeps() -> None:
    """Zero mean, dropout that keeps p, an identity for the weights, then BN: Var(test)/Var(train) = p (Li et al. 2018).

    The moving variance is the average over 400 masks; the first block's BN has the statistics of the data.
    """
    keep = 0.6
    table = TABLE | {
        "model": {"depth": 2, "width": 4, "activation": "identity"},
        "measure": {"also": ["variance_shift"]},
        "axes": {"placement": ["pre"], "dropout_rate": [1 - keep], "bn_momentum": [0.0]},
    }
    (cell,) = make_plan(bn.build_study(table)).cells
    program = program_of([cell.settings], (2, 2, 1), CLASSES)
    factors = lane_factors(cell.settings, program.structure)
    state = jax.jit(partial(init_state, program))(0)
    for i in range(2):
        state.params[f"block_{i}"]["linear"]["kernel"] = jnp.eye(4)
    rng = np.random.default_rng(3)
    n = 200
    images = jnp.asarray(rng.integers(0, 256, (n, 2, 2, 1)), jnp.uint8)
    examples, everything = Examples(images, jnp.zeros(n, jnp.int32)), np.arange(n, dtype=np.int32)
    plain = jnp.zeros((2, 2, 1)), jnp.full((2, 2, 1), 100.0)
    seed, split = SeedExamples(*plain, seed=jnp.int32(0)), Split(everything, everything[:1], everything[1:2])
    x, y = examples.take(everything, seed)

    def trained(bits: jax.Array) -> Tree:
        return loss_fn(program, factors, state.params, state.batch_stats, Batch(x, y, tuple(bits)))[1]["batch_stats"]  # type: ignore[no-any-return]

    stats = jax.jit(jax.vmap(trained))(jnp.asarray(rng.integers(0, 2**16, (400, 2, n, 4)), jnp.uint16))
    state = state._replace(batch_stats=jax.tree.map(lambda leaf: leaf.mean(0), stats))
    found = extras(program, examples, seed, split)(factors, state, jnp.bool_(True))
    np.testing.assert_allclose(found.layers["variance_ratio"], [1.0, keep], rtol=0.01)
    np.testing.assert_allclose(found.layers["variance_shift"], [1.0, 1 / keep], rtol=0.01)


@pytest.mark.slow  # tests/test_norm_kinds.py has the columns of some, and above is what stands in them
def test_asking_for_more_changes_no_lane_and_fills_the_columns() -> None:
    """The same lanes with and without: equal parameters bit for bit, and every column there or null as documented."""
    table = {
        "name": "asked",
        "seeds": 1,
        "data": {"n_train": 50, "n_validation": 20, "n_test": 30},
        "model": {"depth": 1, "width": 8},
        "train": {"steps": 4, "batch_size": 16, "learning_rate": 0.01},
        "axes": {"placement": ["none", "pre"]},
    }
    outcomes = []
    for also in ([], list(REQUESTS)):
        (shard,) = shards_of(make_plan(bn.build_study(table | {"measure": {"every": 2, "also": also}})))
        outcomes.append(Engine(load("digits"), "map").run(shard, keep_states=True))
    plain, more = outcomes
    for a, b in zip(jax.tree.leaves(plain.states), jax.tree.leaves(more.states), strict=True):
        np.testing.assert_array_equal(a, b)
    little, much = tables_of(plain), tables_of(more)
    for part in ("history", "layers"):
        for name, of in TABLES[part].items():
            if of.apart == AVERAGING:
                continue
            if of.apart:
                assert name not in little[part].columns
            asked = all(need.holds(plain.shard.cells[0].settings) for need in of.needs if need.problem)
            assert of.apart or little[part][name].is_not_null().all() == asked, name
            for cell in more.shard.cells:
                taken = [of.possible(cell.settings) and (end or not of.ends) for end in (True, False, True)]
                assert much[part].filter(lane_id=cell.lane_id(0))[name].is_not_null().to_list() == taken, name
    (bare,) = (
        much["history"].filter(lane_id=cell.lane_id(0))
        for cell in more.shard.cells
        if cell.levels["placement"] == "none"
    )
    np.testing.assert_allclose(
        bare["recalibrated_test_loss"].to_numpy()[::2], bare["test_loss"].to_numpy()[::2], rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", [{"width": 8}, {"architecture": "cnn", "width": 2}], ids=["mlp", "cnn"])
def test_both_strategies_measure_the_same(model: Tree) -> None:
    """An accuracy may differ by an example whose logits are all but equal."""
    table = {
        "name": "both",
        "seeds": 1,
        "data": {"n_train": 50, "n_validation": 20, "n_test": 30},
        "model": {"depth": 3, "activation": "tanh", **model},
        "train": {"steps": 4, "batch_size": 16, "learning_rate": 0.01},
        "measure": {"every": 2, "eval_batch": 20, "also": list(REQUESTS)},
        "axes": {"placement": ["none", "pre", "post"]},
    }
    (shard,) = shards_of(make_plan(bn.build_study(table)))
    mapped, together = (Engine(load("digits"), strategy).run(shard).observations.extras for strategy in ("map", "vmap"))  # type: ignore[arg-type]
    for (path, a), b in zip(jax.tree.leaves_with_path(mapped), jax.tree.leaves(together), strict=True):
        name = jax.tree_util.keystr(path)
        tolerance = 0.05 if "accuracy" in name else 1e-3
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def test_moving_statistics_alone_are_recalibrated(setting: Setting) -> None:
    """Those that a normalizer does not have, or that are constants of the network, stay as they are, to the bit."""
    table = TABLE | {"axes": {"norm_kind": ["batch", "layer", "fixed"]}}
    lanes = [cell.settings for cell in make_plan(bn.build_study(table)).cells]
    program = program_of(lanes, (2, 2, 1), CLASSES)
    factors = stack_factors(lanes, program.structure)
    stats = jax.tree.map(lambda leaf: leaf + 0.5, jax.jit(partial(init_state, program))(0).batch_stats)
    state = setting.state._replace(batch_stats=stats)

    @jax.jit
    @jax.vmap
    def once(lane: Factors) -> Any:
        given = (program, lane, state, setting.examples, setting.seed, setting.split)
        found = over(*given, True, "arriving", setting.state.params, stats)
        return settled(program, lane, stats, found, True, True), found

    recalibrated, arriving = once(factors)
    for name, block in stats.items():
        for key, before in block["norm"].items():
            moved = ~np.isclose(recalibrated[name]["norm"][key], before).reshape(len(lanes), -1).all(1)
            assert moved.tolist() == [key != "started", False, False], (name, key)
    x, _ = setting.part("train")
    block = setting.state.params["block_0"]
    z = x @ np.asarray(block["linear"]["kernel"]) + np.asarray(block["bias"])
    wanted = [z - np.asarray(block["bias"]), z, z]  # what BN would subtract is not added
    for i, of_lane in enumerate(wanted):
        np.testing.assert_allclose(arriving["block_0"]["norm"].mean[i], of_lane.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(arriving["block_0"]["norm"].var[i], of_lane.var(0), rtol=1e-4, atol=1e-5)
