"""Every number of a paper under a name, so that none is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bn_ablate.analysis.judge.shown import interval_text, p_text, texts
from bn_ablate.analysis.pages.tables import tex
from bn_ablate.results import Results

PREAMBLE = r"""% \bnval{NAME} gives the number of that name; a name that is not here is an error of LaTeX.
\makeatletter
\newcommand{\bnset}[2]{\expandafter\gdef\csname bn@#1\endcsname{#2}}
\newcommand{\bnval}[1]{\ifcsname bn@#1\endcsname\csname bn@#1\endcsname\else
  \PackageError{bn_ablate}{No number is called '#1'}{The names are in numbers.tex.}\fi}
\makeatother
"""


def numbers_tex(studies: list[Results], said: dict[str, Any]) -> str:
    r"""`numbers.tex`: `\bnval` and a line for every number."""
    return PREAMBLE + "".join(f"\\bnset{{{name}}}{{{tex(text)}}}\n" for name, text in numbers(studies, said))


def numbers(studies: list[Results], said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and texts: counts, claims, and of each hypothesis what `claims.json` has of it.

    p values and verdicts of primary hypotheses are those of the family of all studies (`p`, `verdict`); of others, of
    their study.
    """
    yield "claims", str(len(said["claims"]))
    yield "family", str(said["family"])
    yield "lanes", f"{sum(results.networks.height for results in studies):,}"
    for claim in said["claims"]:
        yield f"{claim['claim']}/verdict", claim["verdict"]
        for verdict, times in claim["counts"].items():
            yield f"{claim['claim']}/{verdict}", str(times)
    family = {(record["study"], record["id"]): record for record in said["hypotheses"]}
    for results in studies:
        study = results.name
        yield f"{study}/caveat", "; ".join(results.caveats)
        yield f"{study}/lanes", f"{results.networks.height:,}"
        yield f"{study}/diverged", str(results.networks.filter(status="diverged").height)
        yield f"{study}/seeds", results.seeds_per_cell
        for own in results.claims:
            record = family.get((study, own["id"]), own)
            shown = texts(record)
            at = f"{study}/{record['id']}"
            yield f"{at}/estimate", f"{shown.estimate} {shown.unit}".strip()
            yield f"{at}/low", shown.low
            yield f"{at}/high", shown.high
            yield f"{at}/interval", interval_text(shown)
            yield f"{at}/p", p_text(record["p_adjusted"])
            yield f"{at}/effect", "–" if record["effect_size"] is None else f"{record['effect_size']:.2f}"
            yield f"{at}/n", str(record["n_seeds"])
            if "look" in record:
                yield f"{at}/look", str(record["look"])
            yield f"{at}/verdict", record["verdict"]
