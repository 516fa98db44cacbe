"""From a TOML file to a `Study`: overrides, validation, and every problem said at once."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bn_ablate.config.claims import check_claims
from bn_ablate.config.errors import ConfigError, Problem, one_of, show
from bn_ablate.config.extensions import Extension, load_extension, provided, registered
from bn_ablate.config.factors import FACTORS, SECTIONS
from bn_ablate.config.given import place, plain
from bn_ablate.config.hints import factor_hint, key_hint
from bn_ablate.config.hypothesis_checks import check_rule, expand_hypotheses
from bn_ablate.config.kinds import KINDS
from bn_ablate.config.lane import base_settings
from bn_ablate.config.lines import with_lines
from bn_ablate.config.precision import used_as
from bn_ablate.config.schema import Study
from bn_ablate.config.shipped import found
from bn_ablate.config.study_files import INSTEAD, read_table, with_included

MAX_LANES = 1_000_000
EMPTY = '""'
"""A key that has no character, as TOML writes it."""


def load_study(path: str | Path, overrides: Sequence[str] = (), extensions: Sequence[str | Path] = ()) -> Study:
    """The study in the TOML file `path`, with `overrides` such as `train.steps=500` applied in order.

    Where there is no such file, it may be the name of a study that comes with the package, as `ablate`.

    Files that it includes lie below it, key by key. Extension files that it names are run, from paths relative to its
    own, and then those of `extensions`.

    Raises:
        ConfigError: the file cannot be read or says something that cannot be used; it lists every problem.
        ExtensionError: an extension fails.

    Examples:
        >>> study = bn.load_study("smoke", ["seeds=2", "train.steps=100"])
        >>> study.axes["placement"]
        ('none', 'pre', 'post')
    """
    path = found(place(path))
    said = read_table(path)
    try:
        table = with_included(said, path.parent, str(path), (path.resolve(),))
        return build_study(table, overrides, str(path), extensions=extensions, folder=path.parent)
    except ConfigError as error:
        overrides = [overrides] if isinstance(overrides, str) else overrides
        raise with_lines(error, path.read_text(encoding="utf-8"), overrides) from None


def build_study(
    table: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    source: str = "study",
    *,
    extensions: Sequence[str | Path] = (),
    folder: Path | None = None,
    trusted: bool = True,
    **keys: Any,
) -> Study:
    """The study that `table` describes, with `keys` added and `overrides` applied; `source` names it in messages.

    As with `dict`, what a TOML file would say is given as a mapping or as keywords.

    Extension files that it names are run, from paths relative to `folder`, and then those of `extensions`, from paths
    relative to the working directory; one that it holds as a table, as a manifest does, is not. None is run
    that is named in a `table` that is not `trusted`, and no file is included.

    Numbers and arrays of NumPy or JAX, and ranges, stand for what they hold. `table` itself stays as it is.

    Raises:
        ConfigError: something cannot be used; it lists every problem.
        ExtensionError: an extension fails.

    Examples:
        >>> study = bn.build_study(name="mine", seeds=5, model={"depth": 4}, axes={"placement": ["none", "pre"]})
        >>> study.seed_list, study.model.depth
        ((0, 1, 2, 3, 4), 4)
    """
    problems: list[Problem] = []
    said: dict[str, Any] = {}
    try:
        said = plain({**(table or {}), **keys})
        said = with_included(said, folder or Path(), source) if trusted else said
        for override in [overrides] if isinstance(overrides, str) else overrides:
            problems += _apply_override(said, override)
        problems += _unusable(said)
        text = "" if problems else json.dumps(said)
    except (TypeError, ValueError) as error:
        problems = [Problem("", f"holds what no key can take: {error}")]
    except RecursionError:
        problems = [Problem("", "is nested too deeply")]
    if problems:
        raise ConfigError(source, problems)
    used = [*_extensions(said, folder, trusted), *(load_extension(file) for file in extensions)]
    if used:
        text = json.dumps(said | {"extensions": [extension.model_dump() for extension in dict.fromkeys(used)]})
    context = {"provided": provided(used)}
    try:
        study = Study.model_validate_json(text, strict=True, context=context)
    except ValidationError as error:
        raise ConfigError(source, explain(error, Study)) from None
    study, problems = _check_axes(study, context)
    study = study.model_copy(update={"extensions": (*study.extensions, *registered(study))})
    problems += _check_exclusions(study)
    problems += check_claims(study)
    study, of_hypotheses = expand_hypotheses(study)
    problems += of_hypotheses
    problems += _check_looks(study)
    if problems:
        raise ConfigError(source, problems)
    return study


def _apply_override(table: dict[str, Any], override: str) -> list[Problem]:
    """Set one `dotted.key=value`; the value is TOML, or a bare word taken as a string."""
    key, sign, text = override.partition("=")
    key = key.strip()
    if not sign or not key:
        return [Problem(override or EMPTY, "is not of the form key=value, as in train.steps=500")]
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    value = parsed["value"] if len(parsed) == 1 else text.strip()
    *parents, last = key.split(".")
    here = table
    for parent in parents:
        here = here.setdefault(parent, {})
        if not isinstance(here, dict):
            return [Problem(key, f"cannot be set: {parent!r} is not a table")]
    here[last] = value
    here.pop(INSTEAD.get(key, ""), None)
    return []


def _extensions(table: dict[str, Any], folder: Path | None, trusted: bool) -> Iterator[Extension]:
    """The extensions that a study names, and those that it holds."""
    named = table.get("extensions", [])
    for item in named if isinstance(named, list | tuple) else ():
        if isinstance(item, str) and trusted:
            yield load_extension(item, folder)
        elif isinstance(item, dict):
            with suppress(ValidationError):  # which is explained with the rest of the study
                yield Extension.model_validate_json(json.dumps(item), strict=True)


def _unusable(value: Any, key: str = "") -> Iterator[Problem]:
    """A problem for each value in a table that JSON has no form for: TOML's dates and times."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from _unusable(inner, f"{key}.{name}" if key else str(name))
        case list() | tuple():
            for i, inner in enumerate(value):
                yield from _unusable(inner, f"{key}[{i}]")
        case str() | int() | float() | None:
            pass
        case _:
            yield Problem(key, f"is {show(value)}: no key of a study takes such a value")


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem per error of `model`, with the allowed names and the nearest one where there are such."""
    problems: dict[str, str] = {}
    for item in error.errors(include_url=False):
        location = item["loc"]
        match item["type"]:
            case "too_short" if item["input"]:
                continue  # it counts the sound items alone, and the others have problems of their own
            case "extra_forbidden":
                known = list(_model_at(model, location[:-1]).model_fields)
                hint = key_hint(str(location[-1]), str(location[0]) if len(location) > 1 else "", known)
                message = f"there is no such key (known here: {', '.join(known)}){hint}"
            case "missing":
                message = "is missing"
            case "literal_error":
                message = one_of(item["input"], _literals(item["ctx"]["expected"]))
            case "value_error":
                message = str(item["ctx"]["error"])
            case "union_tag_not_found":
                message = f"needs a kind: {', '.join(KINDS)}"
            case "union_tag_invalid":
                location = (*location, "", "kind")
                message = one_of(item["ctx"]["tag"], KINDS)
            case _:
                message = f"is {show(item['input'])}: {item['msg'][0].lower()}{item['msg'][1:]}"
        problems.setdefault(_key(location), message)
    return [Problem(key, message) for key, message in problems.items()]


def _key(location: Sequence[int | str]) -> str:
    """A pydantic location as people write it, `hypotheses[0].metric`, without the tags of unions."""
    key = ""
    for i, part in enumerate(location):
        if isinstance(part, int):
            key += f"[{part}]"
        elif (location[0], i) not in (("seeds", 1), ("hypotheses", 2)):
            key += f".{part or EMPTY}" if key else part or EMPTY
    return key


def _literals(expected: str) -> list[str]:
    return [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")]


def _model_at(model: type[BaseModel], location: Iterable[int | str]) -> type[BaseModel]:
    """The section of `model` that a pydantic location leads to."""
    for part in location:
        if part in KINDS:
            model = KINDS[part]
        elif isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            options = get_args(annotation) or (annotation,)
            for option in (getattr(given, "__origin__", given) for given in options):  # those of a union have tags
                if isinstance(option, type) and issubclass(option, BaseModel):
                    model = option
    return model


def _check_axes(study: Study, context: dict[str, Any]) -> tuple[Study, list[Problem]]:
    """Validate every level of every axis by itself; return the study with its levels in their proper types."""
    problems: list[Problem] = []
    axes: dict[str, tuple[Any, ...]] = {}
    base = base_settings(study).model_dump(mode="json")
    for axis, levels in study.axes.items():
        key = f"axes.{axis}"
        if axis not in FACTORS:
            problems.append(Problem(key, f"there is no such factor (known: {', '.join(FACTORS)}){factor_hint(axis)}"))
            continue
        if not levels:
            problems.append(Problem(key, "has no levels"))
        section, field = FACTORS[axis].path.split(".")
        typed = []
        for i, level in enumerate(levels):
            try:
                settings = SECTIONS[section].model_validate_json(
                    json.dumps(base[section] | {field: level}), strict=True, context=context
                )
            except ValidationError as error:
                problems += [Problem(f"{key}[{i}]", p.message) for p in explain(error, SECTIONS[section])]
            else:
                typed.append(getattr(settings, field))
        twice = {str(level) for level, times in Counter(typed).items() if times > 1}
        if twice:
            problems.append(Problem(key, f"lists {', '.join(sorted(twice))} more than once"))
        if used := used_as(SECTIONS[section], field):
            problems += [Problem(key, f"lists {said}") for said in used.merged(typed)]
        axes[axis] = tuple(typed)
    lanes = math.prod(len(levels) for levels in axes.values()) * len(study.seed_list)
    if lanes > MAX_LANES:
        problems.append(
            Problem("axes", f"span {lanes:,} lanes, and {MAX_LANES:,} are the most; use fewer levels or seeds")
        )
    return study.model_copy(update={"axes": axes}), problems


def _check_looks(study: Study) -> Iterator[Problem]:
    """Looks are at hypotheses."""
    if study.looks and not study.hypotheses:
        first = study.looks[0]
        yield Problem(
            "seeds.until", f"= decided, but there is no hypothesis to decide; say seeds = {first}, or state one"
        )


def _check_exclusions(study: Study) -> list[Problem]:
    """Check that exclusions speak of axes and levels that are there."""
    problems: list[Problem] = []
    for i, rule in enumerate(study.exclude):
        if not rule:
            problems.append(Problem(f"exclude[{i}]", "names no axis, and so would exclude everything"))
        problems += check_rule(study, f"exclude[{i}]", rule)
    return problems
