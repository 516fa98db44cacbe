"""What a paper needs of one or more studies: tables, figures, numbers as macros, references, methods, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from bn_ablate.analysis.claims import combine_claims
from bn_ablate.analysis.figures import image
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.paper.macros import numbers_tex
from bn_ablate.analysis.paper.methods import methods_md
from bn_ablate.analysis.tables import tabular, tex, tex_row, verdicts_tex
from bn_ablate.analysis.words import CLAIMS
from bn_ablate.results import Results, open_results
from bn_ablate.results.files import sha256_of, write_bytes, write_text

CITES = {
    "C1": "ioffe2015batch",
    "C2": "frankle2021training",
    "C3": "ioffe2015batch,yang2019mean",
    "C4": "bjorck2018understanding,srivastava2014dropout",
    "C5": "ioffe2015batch,mehta2019implicit",
    "C6": "li2019understanding,chen2019rethinking",
    "C7": "ioffe2015batch,chen2019rethinking",
    "C8": "ioffe2015batch",
}
"""The literature of each claim, as keys of `results.bib`."""


def write_paper(folders: Iterable[Path], output: Path) -> list[Path]:
    r"""Write the paper kit of the results in `folders` into the folder `output`; return the files written.

    - `claims.tex`: the verdict of every claim; `tables/<study>.tex`: the hypotheses of every study (booktabs);
    - `figures/<study>-claim.pdf` and `-hypotheses.pdf`, fonts embedded; `studies.tex` puts them and tables in place;
    - `numbers.tex`: a name for every estimate, interval, p value and count, as `\bnval{study/hypothesis/estimate}`;
    - `results.bib`: software, data sets, and what each claim cites; `METHODS.md`: the protocol as paragraphs;
    - `main.tex`: a sample that uses them all, written where there is none yet;
    - `PROVENANCE.json`: code, packages, data and device of every study, and a SHA-256 of every file.

    The same results give the same bytes.

    Raises:
        ResultsError: a folder holds no results or no verdicts, or two hold the same study.
    """
    folders = list(folders)
    studies = [open_results(folder) for folder in folders]
    said = combine_claims(folders)
    texts: dict[str, str] = {
        "claims.tex": _claims_tex(said),
        "numbers.tex": numbers_tex(studies, said),
        "METHODS.md": methods_md(studies, said["family"]),
        "results.bib": _template("results.bib") + _software(studies),
    }
    written = {}
    for results in studies:
        texts[f"tables/{results.name}.tex"] = verdicts_tex(results.claims)
        for chart in (claim_figure(results), forest(results)):
            if chart is not None:
                written[output / "figures" / f"{results.name}-{chart.name}.pdf"] = image(chart, "pdf")
    texts["studies.tex"] = "\n".join(_study_tex(results, output, written) for results in studies)
    for file, content in written.items():
        write_bytes(file, content)
    for name, text in texts.items():
        write_text(output / name, text)
    made = [*(output / name for name in texts), *written]
    provenance = {
        "studies": {results.name: _provenance(results) for results in studies},
        "files": {file.relative_to(output).as_posix(): sha256_of(file) for file in sorted(made)},
    }
    write_text(output / "PROVENANCE.json", json.dumps(provenance, indent=1, ensure_ascii=False) + "\n")
    if not (output / "main.tex").exists():
        write_text(output / "main.tex", _template("main.tex"))
    return [*made, output / "PROVENANCE.json", output / "main.tex"]


def _template(name: str) -> str:
    return files("bn_ablate.analysis.paper").joinpath(name).read_text(encoding="utf-8")


def _claims_tex(said: dict[str, Any]) -> str:
    rows = []
    for claim in said["claims"]:
        counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
        says = rf"{tex(CLAIMS[claim['claim']])}~\cite{{{CITES[claim['claim']]}}}"
        rows.append(tex_row(claim["claim"], says, tex(claim["verdict"]), tex(counts)))
    head = tex_row("Claim", "Batch Normalization \\ldots", "Verdict", "Primary hypotheses")
    return tabular(r"@{}lp{0.36\linewidth}lp{0.3\linewidth}@{}", head, rows)


def _study_tex(results: Results, output: Path, drawn: dict[Path, bytes]) -> str:
    """A section of the sample: the study's figures and its table."""
    parts = [rf"\section{{{tex(results.study.title or results.name)}}}", tex(results.study.description.strip())]
    for kind in ("claim", "hypotheses"):
        name = f"figures/{results.name}-{kind}.pdf"
        if output / name in drawn:
            parts.append(
                rf"\begin{{center}}\includegraphics[width=\linewidth,height=0.85\textheight,keepaspectratio]{{{name}}}"
                r"\end{center}"
            )
    parts.append(rf"{{\footnotesize\begin{{center}}\input{{tables/{results.name}}}\end{{center}}}}")
    return "\n\n".join(parts) + "\n\\clearpage\n"


def _software(studies: list[Results]) -> str:
    """Entries for the packages that the studies ran with, each at its version."""
    packages = {name: version for results in studies for name, version in results.manifest.get("packages", {}).items()}
    entries = (
        f"@misc{{software-{name},\n  title = {{{{{tex(name)}}}, version {version}}},\n"
        f"  howpublished = {{Python package}},\n  key = {{{tex(name)}}}\n}}\n"
        for name, version in sorted(packages.items())
    )
    return "".join(entries)


def _provenance(results: Results) -> dict[str, Any]:
    known = ("git", "packages", "python", "system", "config_sha256", "data", "device", "strategy", "seeds", "finished")
    manifest = {key: results.manifest.get(key) for key in known}
    packages = json.dumps(manifest["packages"], sort_keys=True)
    return manifest | {
        "packages_sha256": sha256(packages.encode()).hexdigest(),
        "results_sha256": results.manifest.get("files", {}),
    }
