"""What a paper needs of one or more studies: tables, figures, numbers as macros, references, methods, provenance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from bn_ablate.analysis.figures import image
from bn_ablate.analysis.figures.aggregates import aggregates
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.figures.overview import overview
from bn_ablate.analysis.judge.claims import combine_claims
from bn_ablate.analysis.pages.paper.macros import numbers_tex
from bn_ablate.analysis.pages.paper.methods import methods_md
from bn_ablate.analysis.pages.tables import caveats_tex, tabular, tex, tex_row, verdicts_tex
from bn_ablate.config.claims import literature
from bn_ablate.config.given import place
from bn_ablate.results import Results, open_results, refuse_inside
from bn_ablate.results.files import sha256_of, write_bytes, write_text


class Software(NamedTuple):
    """Who a package is by, as its metadata say, and where it is found."""

    authors: str
    place: str


SOFTWARE = {
    "bn_ablate": Software("The bn_ablate authors", ""),
    "jax": Software("JAX team", "https://github.com/jax-ml/jax"),
    "jaxlib": Software("JAX team", "https://github.com/jax-ml/jax"),
    "flax": Software("Flax team", "https://github.com/google/flax"),
    "optax": Software("Google DeepMind", "https://github.com/google-deepmind/optax"),
    "numpy": Software("Travis E. Oliphant et al.", "https://numpy.org"),
    "scipy": Software("SciPy developers", "https://scipy.org/"),
    "tensorflow-datasets": Software("Google Inc.", "https://github.com/tensorflow/datasets"),
    "wandb": Software("Weights & Biases", "https://github.com/wandb/wandb"),
    "polars": Software("Ritchie Vink", "https://www.pola.rs/"),
}
"""The packages whose versions a manifest holds."""


def write_paper(folders: Iterable[Path], output: Path) -> list[Path]:
    r"""Write the paper kit of the results in `folders` into the folder `output`; return the files written.

    - `claims.tex`: the verdict of every claim; `tables/<study>.tex`: the hypotheses of every study (booktabs);
    - `figures/<study>-claim.pdf` and `-hypotheses.pdf`, `-overview.pdf` and `-aggregates.pdf` where there are such,
      fonts embedded; `studies.tex` puts them and tables in place;
    - `numbers.tex`: a name for every estimate, interval, p value and count, as `\bnval{study/hypothesis/estimate}`;
    - `results.bib`: software, data sets, and literature; `METHODS.md`: the protocol as paragraphs;
    - `main.tex`: a sample that uses them all, written where there is none yet;
    - `PROVENANCE.json`: of every study the code's git commit, the lock its packages come from (null where they do not
      come from one), data, device, seeds, status, caveats and the hashes of its results; and a SHA-256 of every file of
      the kit.

    What is to be known before the results are relied on, as that a run is not complete, stands below the tables, in
    `METHODS.md`, and under `study/caveat` in `numbers.tex`.

    The same results give the same bytes.

    Raises:
        ResultsError: a folder holds no results or no verdicts, two hold the same study, or `output` lies within one.
    """
    folders, output = list(folders), place(output)
    refuse_inside(output)
    studies = [open_results(folder) for folder in folders]
    said = combine_claims(folders)
    texts: dict[str, str] = {
        "claims.tex": _claims_tex(said),
        "numbers.tex": numbers_tex(studies, said),
        "METHODS.md": methods_md(studies, said["family"], said["caveats"]),
        "results.bib": _references(studies),
    }
    written = {}
    for results in studies:
        texts[f"tables/{results.name}.tex"] = verdicts_tex(results.claims, results.caveats)
        for chart in (draw(results) for draw in (claim_figure, forest, overview, aggregates)):
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
    return files("bn_ablate.analysis.pages.paper").joinpath(name).read_text(encoding="utf-8")


def _claims_tex(said: dict[str, Any]) -> str:
    rows = []
    for claim in said["claims"]:
        counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
        says = tex(claim["says"]) + rf"~\cite{{{','.join(claim['cites'])}}}" * bool(claim["cites"])
        rows.append(tex_row(tex(claim["claim"]), says, tex(claim["verdict"]), tex(counts)))
    head = tex_row("Claim", "Batch Normalization \\ldots", "Verdict", "Primary hypotheses")
    note = caveats_tex(said["caveats"], columns=4)
    return tabular(r"@{}lp{0.35\linewidth}lp{0.37\linewidth}@{}", head, rows, note)


def _study_tex(results: Results, output: Path, drawn: dict[Path, bytes]) -> str:
    """A section of the sample: the study's figures and its table."""
    parts = [rf"\section{{{tex(results.study.title or results.name)}}}", tex(results.study.description.strip())]
    for kind in ("claim", "overview", "aggregates", "hypotheses"):
        name = f"figures/{results.name}-{kind}.pdf"
        if output / name in drawn:
            parts.append(
                rf"\begin{{center}}\includegraphics[width=\linewidth,height=0.8\textheight,keepaspectratio]{{{name}}}"
                r"\end{center}"
            )
    parts.append(rf"{{\footnotesize\begin{{center}}\input{{tables/{results.name}}}\end{{center}}}}")
    return "\n\n".join(parts) + "\n\\clearpage\n"


def _references(studies: list[Results]) -> str:
    """`results.bib`: literature, the data sets that the studies used, and their packages, each at its version."""
    used = {re.sub(r"^cifar\d+$", "cifar", results.study.data.name) for results in studies}
    own = {claim.bibtex.strip(): None for results in studies for claim in results.study.claims.values() if claim.bibtex}
    entries = re.split(r"(?m)^(?=@)", literature())
    kept = (entry for entry in entries if not (data := re.match(r"@\w+\{data-(\w+),", entry)) or data[1] in used)
    return "".join([*kept, *(f"{entries}\n" for entries in own)]) + _software(studies)


def _software(studies: list[Results]) -> str:
    packages = {name: version for results in studies for name, version in results.manifest.get("packages", {}).items()}
    entries = (
        f"@misc{{software-{name},\n  author = {{{{{tex(SOFTWARE[name].authors)}}}}},\n"
        f"  title = {{{{{tex(name)}}}, version {version}}},\n"
        + f"  howpublished = {{\\url{{{SOFTWARE[name].place}}}}},\n" * bool(SOFTWARE[name].place)
        + "  note = {Python package}\n}\n"
        for name, version in sorted(packages.items())
        if name in SOFTWARE
    )
    return "".join(entries)


def _provenance(results: Results) -> dict[str, Any]:
    known = ("git", "lock", "packages", "python", "system", "config_sha256", "data", "device", "strategy", "seeds")
    return {key: results.manifest.get(key) for key in (*known, "finished", "status")} | {
        "caveats": results.caveats,
        "results_sha256": results.manifest.get("files", {}),
    }
