"""Parts of a study: which lanes each has, and that they are put together whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.cli.main import main
from bn_ablate.config import ConfigError
from bn_ablate.plan import Part, Plan, divisions, portion
from bn_ablate.results import ResultsError, Store, locked, merge, open_results, verify
from bn_ablate.results.merging import LAYOUTS
from tests.results.made_up import listing, manifest_of, plan_of, published, record, tables_of

SEEDS = 3
TABLES = ("lanes.parquet", "history.parquet", "layers.parquet", "histograms.parquet")


def part_of(root: Path, number: int, of: int = SEEDS, *, plan: Plan | None = None, **changes: Any) -> Path:
    """A finished part, in its folder; `changes` are of its provenance."""
    plan, part = plan or plan_of(seeds=SEEDS), Part(number, of)
    store = Store(root / part.folder(plan.study.name))
    store.open()
    mine = portion(plan, part)
    store.add_shard(f"shard-{number}", tables_of(mine.lanes), record(**changes))
    timing = {"train_seconds": 1.5}
    store.publish(mine, manifest_of(plan, part=part._asdict(), timing=timing, config_sha256=str(plan.study)))
    return store.path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The three parts of a study."""
    root = tmp_path_factory.mktemp("parts")
    return [part_of(root, number) for number in (1, 2, 3)]


@pytest.fixture
def parts(made: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of them, to be changed."""
    return [Path(shutil.copytree(part, tmp_path / part.name)) for part in made]


@pytest.mark.parametrize("of", [1, 2, 3, 5, 10, 20, 30, 40])
def test_each_lane_is_in_one_part_and_each_seed_too_while_there_are_no_more_parts_than_seeds(of: int) -> None:
    plan = plan_of(seeds=10)
    portions = [portion(plan, Part(i, of)) for i in range(1, of + 1)]
    lanes = [lane.id for part in portions for lane in part.lanes]
    assert sorted(lanes) == sorted(lane.id for lane in plan.lanes)
    assert [part.n_lanes for part in portions] == [len(part.lanes) for part in portions]
    assert max(part.n_lanes for part in portions) - min(part.n_lanes for part in portions) <= (4 if of < 10 else 1)
    kin = [group.kin for group in plan.groups]
    assert all(group.kin in kin for part in portions for group in part.groups)
    if of <= 10:
        assert sum(len(part.seeds) for part in portions) == 10


@pytest.mark.parametrize(("of", "seeds"), [(11, 10), (50, 10), (2, 1)])
def test_a_division_that_cannot_be_is_refused_with_those_that_can(of: int, seeds: int) -> None:
    plan = plan_of(seeds=seeds, axes={"placement": ["none", "pre"]} if seeds == 10 else {})
    with pytest.raises(ConfigError, match=f"--part: there are no {of} parts: {divisions(plan)[:20]}"):
        portion(plan, Part(1, of))


def test_what_divisions_there_are_is_said() -> None:
    assert divisions(plan_of(seeds=10)) == "10 seeds make 2, 5 or 10 like parts; 20, 30, … divide the cells of a seed"
    assert divisions(plan_of(seeds=1, axes={})) == "one seed stays whole in one part"


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no part: I/N, as 2/3"):
        Part.parse(text)
    assert Part.parse(" 2/03 ") == (2, 3)


def test_parts_make_the_tables_of_one_run(tmp_path: Path, parts: list[Path]) -> None:
    before = [listing(part) for part in parts]
    whole = merge([parts[2], parts[0], parts[1]], tmp_path / "made-up")
    one = published(tmp_path / "one", plan_of(seeds=SEEDS)).path
    for name in TABLES:
        assert (whole.path / name).read_bytes() == (one / name).read_bytes()
    assert whole.manifest["lanes"] == {"planned": 12, "finished": 12, "diverged": 0}
    assert (whole.manifest["timing"], whole.manifest["merged"]) == ({"train_seconds": 4.5}, ["1/3", "2/3", "3/3"])
    assert "part" not in whole.manifest
    assert (whole.caveats, verify(whole.path)) == ([], [])
    assert open_results(parts[0]).caveats == [
        "this is part 1/3 of its study alone; `bn-ablate merge` puts them together"
    ]
    assert listing(merge(parts, whole.path).path) == listing(whole.path)
    assert [listing(part) for part in parts] == before


def refused(parts: list[Path], into: Path) -> str:
    """What is said of parts that cannot be merged."""
    with pytest.raises(ResultsError) as error:
        merge(parts, into)
    return str(error.value)


def test_what_is_missing_there_twice_or_of_another_division_is_named(tmp_path: Path, parts: list[Path]) -> None:
    twice = Path(shutil.copytree(parts[0], tmp_path / "copy"))
    said = refused([parts[0], twice], tmp_path / "into")
    assert said.startswith("merge: 3 problems; nothing was written\n")
    assert f"{twice}: is part 1/3, and so is {parts[0]}: give one of them" in said
    assert "part 2/3 is missing; `bn-ablate run CONFIG --part 2/3` trains it" in said
    assert "part 3/3 is missing" in said
    other = part_of(tmp_path, 2, 2)
    assert f"{other}: is part 2/2, and {parts[0]} is 1/3" in refused([*parts, other], tmp_path / "into")
    assert "no part to merge" in refused([], tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "ab" * 32}, ": sources .*, here abababababab; train one of them again"),
        ({"jax": "2.0"}, ": jax 1.0, here 2.0; train"),
        ({"data": "cd" * 32}, ": data .*, here cdcdcdcdcdcd; train"),
    ],
)
def test_a_part_of_other_code_versions_or_data_is_named(
    tmp_path: Path, parts: list[Path], changes: dict[str, Any], said: str
) -> None:
    parts[2] = part_of(tmp_path / "other", 3, **changes)
    with pytest.raises(ResultsError, match=rf"{parts[2]}: part 3/3 is of other .* than part 1/3{said}"):
        merge(parts, tmp_path / "into")


def test_a_part_that_is_damaged_not_complete_at_work_or_none_is_named(tmp_path: Path, parts: list[Path]) -> None:
    (parts[0] / "shards" / "shard-1" / "lanes.parquet").write_bytes(b"PAR1")
    manifest = open_results(parts[1]).manifest
    Store(parts[1]).write_manifest(manifest | {"status": "interrupted"})
    whole = published(tmp_path / "whole").path
    with locked(parts[2]):
        said = refused([*parts, whole, tmp_path / "nowhere"], tmp_path / "into")
    assert f"{parts[0]}: part 1/3: shards/shard-1/lanes.parquet: its content has changed since" in said
    assert f"{parts[1]}: part 2/3 is not complete: its status is 'interrupted'; `bn-ablate run" in said
    assert f"{parts[2]}: another run (process " in said
    assert f"{whole}: is no part of a study" in said
    assert f"{tmp_path / 'nowhere'}: is not a results folder" in said


def test_a_part_of_another_study_is_named_by_what_differs(tmp_path: Path, parts: list[Path]) -> None:
    other = part_of(tmp_path / "other", 3, plan=plan_of(seeds=SEEDS, model={"depth": 3}))
    said = refused([*parts[:2], other], tmp_path / "into")
    assert f"{other}: is of another study than {parts[0]}: they differ in model" in said


def test_nothing_takes_the_place_of_other_results(tmp_path: Path, parts: list[Path]) -> None:
    other = published(tmp_path / "other").path
    assert f"{other}: holds other results" in refused(parts, other)
    assert f"{parts[0]}: holds other results" in refused(parts, parts[0])
    assert "lies in" in refused(parts, parts[0] / "whole")
    assert not (parts[0] / "whole").exists()
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: is no folder" in refused(parts, tmp_path / "file")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    assert f"{tmp_path / 'home'}: is a folder of something else" in refused(parts, tmp_path / "home")


def test_parts_of_two_kinds_of_device_keep_each_seed_on_one_and_say_so(tmp_path: Path, parts: list[Path]) -> None:
    parts[1] = part_of(tmp_path / "other", 2, device="gpu H100")
    whole = merge(parts, tmp_path / "into")
    assert whole.mixture is not None
    assert whole.mixture.statement.endswith("; all lanes of a seed are of one kind of device, and so is what is paired")
    assert [origin["seeds"] for origin in whole.manifest["origins"]] == [[0, 2], [1]]
    assert verify(whole.path) == []
    halves = [part_of(tmp_path, i, 6, device="gpu H100" if i in (2, 5) else "cpu") for i in range(1, 7)]
    mixed = merge(halves, tmp_path / "mixed").mixture
    assert mixed is not None
    assert mixed.statement.endswith(
        "; lanes of the seeds 0 and 2 are of several kinds of device, and what is paired by them compares these as well"
    )


@pytest.mark.parametrize("budget", [2**30, 2**31])
def test_parts_that_were_laid_out_differently_are_merged_with_a_note(tmp_path: Path, budget: int) -> None:
    layouts = (
        {"strategy": "vmap", "devices": 1, "at_once": 1, "platform": "gpu", "budget": b} for b in (2**30, budget)
    )
    parts = [part_of(tmp_path, number, 2) for number in (1, 2)]
    for part, layout in zip(parts, layouts, strict=True):
        Store(part).write_manifest(open_results(part).manifest | {"layout": layout})
    manifest = merge(parts, tmp_path / "into").manifest
    assert manifest["notes"] == ([] if budget == 2**30 else [LAYOUTS])
    assert ("layout" in manifest) == (budget == 2**30)


def test_the_command_merges_and_names_what_stands_against_it(
    tmp_path: Path, parts: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["merge", *map(str, parts), "--into", str(tmp_path / "made-up")]
    assert main(words) == 0
    folder = tmp_path / "made-up"
    assert capsys.readouterr().out.replace("\n", " ") == (
        f"{folder}: 12 lanes of 3 parts; `bn-ablate report {folder}` writes the report "
    )
    assert main([*words[:2], "--into", str(tmp_path / "none")]) == 1
    assert "part 2/3 is missing" in capsys.readouterr().err
