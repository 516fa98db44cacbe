"""Verdicts over several studies: the hypotheses that the claims stand and fall with, adjusted as one family.

The **family** is the primary hypotheses of all claims in all studies given: those marked `primary = true`, or all of a
claim's hypotheses where none is marked. Their p values are adjusted by Holm together: the chance of any false verdict
among them stays below .05, and each verdict is made again with the new p by the rule of `verdicts`.

A **claim** is

- supported: each of its primary hypotheses is supported or equivalent;
- contradicted: at least one is contradicted, and none is supported or equivalent;
- mixed: some are supported or equivalent, and some are contradicted;
- inconclusive: anything else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bn_ablate.analysis.judge.stats import ALPHA, holm
from bn_ablate.analysis.judge.verdicts import decide
from bn_ablate.config.claims import CLAIMS, Claim
from bn_ablate.config.given import place
from bn_ablate.results import ResultsError, open_results, refuse_inside
from bn_ablate.results.files import write_text

_FOR = {"supported", "equivalent"}


def combine_claims(folders: Iterable[Path]) -> dict[str, Any]:
    """The claims and their primary hypotheses over the results in `folders`, adjusted as one family.

    Returns `alpha`; `caveats`, sentences on what is to be known before the verdicts are relied on; `family`, how many
    hypotheses it has; `claims`, a record each: its words, what it cites, verdict, counts of verdicts, reason, and the
    hypotheses by study and id; `hypotheses`, the records of `claims.json` with the study's name, and with `p_adjusted`,
    `verdict`, `reason` of this family (those of the study alone are under `in_study`).

    Raises:
        ResultsError: a folder holds no results or no verdicts, two hold the same study, or two have claims of one name
            that are not the same.
    """
    records: list[dict[str, Any]] = []
    studies: set[str] = set()
    caveats: list[str] = []
    known = dict(CLAIMS)
    for folder in map(Path, folders):
        results = open_results(folder)
        if results.name in studies:
            raise ResultsError(f"{folder}: holds the study {results.name!r}, as another of these folders does")
        if not (folder / "claims.json").is_file():
            raise ResultsError(f"{folder}: has no claims.json; `bn-ablate report` writes it")
        for name, claim in results.study.claims.items():
            if known.setdefault(name, claim) != claim:
                raise ResultsError(f"{folder}: says another thing of its claim {name!r} than another of these folders")
        studies.add(results.name)
        caveats += [f"{results.name}: {caveat}" for caveat in results.caveats]
        records += [{"study": results.name} | record for record in results.claims if record["claim"]]
    return {"alpha": ALPHA, "caveats": caveats} | as_one_family(records, known)


def as_one_family(records: list[dict[str, Any]], known: Mapping[str, Claim]) -> dict[str, Any]:
    """The primary hypotheses of `records` adjusted as one family, and the verdicts on their claims, which `known` has.

    Returns `family`, `claims` and `hypotheses`, as `combine_claims` does.
    """
    family = _primary(records)
    adjusted = holm([1.0 if record["p"] is None else record["p"] for record in family])
    judged = [_judged(record | {"family": len(family)}, p) for record, p in zip(family, adjusted, strict=True)]
    names = sorted({record["claim"] for record in judged})
    claims = [_claim(name, known[name], [record for record in judged if record["claim"] == name]) for name in names]
    return {"family": len(judged), "claims": claims, "hypotheses": judged}


def write_combined_claims(folders: Iterable[Path], file: Path) -> dict[str, Any]:
    """Write what `combine_claims` says of `folders` to `file` as JSON, and return it.

    Raises:
        ResultsError: as `combine_claims` does, or `file` lies within a results folder.
    """
    file = place(file)
    refuse_inside(file)
    said = combine_claims(folders)
    write_text(file, json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return said


def _primary(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    marked = {record["claim"] for record in records if record["primary"]}
    return [record for record in records if record["primary"] or record["claim"] not in marked]


def _judged(record: dict[str, Any], p_adjusted: float) -> dict[str, Any]:
    in_study = {key: record[key] for key in ("p_adjusted", "verdict", "reason")}
    shown = {"p_adjusted": None if record["p"] is None else p_adjusted}
    return record | shown | decide(record, p_adjusted)._asdict() | {"in_study": in_study}


def _claim(name: str, claim: Claim, records: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(record["verdict"] for record in records)
    holds, fails = sum(counts[verdict] for verdict in _FOR), counts["contradicted"]
    if holds == len(records):
        verdict = "supported"
    elif fails:
        verdict = "mixed" if holds else "contradicted"
    else:
        verdict = "inconclusive"
    said = ", ".join(f"{times} {verdict}" for verdict, times in counts.most_common())
    return {
        "claim": name,
        **claim.model_dump(mode="json", include={"says", "supported_if", "contradicted_if", "cites"}),
        "verdict": verdict,
        "reason": f"Of {len(records)} primary {'hypothesis' if len(records) == 1 else 'hypotheses'}: {said}.",
        "counts": dict(counts),
        "hypotheses": [{key: record[key] for key in ("study", "id", "verdict")} for record in records],
    }
