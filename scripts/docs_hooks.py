"""What the site has besides docs/: README, CONTRIBUTING, CHANGELOG, the studies, the tour, the reference of Python.

MkDocs loads this by mkdocs.yml, with the standard library alone: what needs the package is written into docs/ by
`scripts/*_page.py`, and the reference is read from the sources.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
ASSETS = ("docs_worker.js", "docs_style.css")  # beside this file
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme would fetch so that its search works from disk; `docs_worker.js` does so without a network."""
BESIDE = ("examples/*.*", "configs/**/*.toml", "LICENSE", "CITATION.cff")
TOUR = "examples/tour.ipynb"
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)\s]+)(\))")


def on_files(files: Files, config: Any) -> Files:
    """Add to the files of docs/ what lies beside it."""
    made = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    made["index.md"] = made.pop("README.md")
    made |= {"studies.md": _studies(), "tour.md": _tour()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for name in ASSETS:
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(ROOT / "scripts" / name)))
    return files


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Nothing on the page is fetched from elsewhere."""
    return output.replace(SHIM, get_relative_url(f"assets/{ASSETS[0]}", page.url))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """Nor on the page that says that there is none."""
    return output_content.replace(SHIM, f"assets/{ASSETS[0]}")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links lead where their targets lie on the site, which has docs/ and what is beside it in one folder."""
    source = page.file.abs_src_path and Path(page.file.abs_src_path)
    folder = source.parent if source and source.is_relative_to(ROOT / "docs") else ROOT

    def moved(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        place, sharp, anchor = link.partition("#")
        if not place:
            return match[0]
        target = (folder / place).resolve().relative_to(ROOT).as_posix()
        if (ROOT / target).is_dir() and target.startswith("configs"):
            target = "studies.md"
        target = {"README.md": "index.md", TOUR: "tour.md"}.get(target, target.removeprefix("docs/"))
        return f"{before}{posixpath.relpath(target, posixpath.dirname(page.file.src_uri))}{sharp}{anchor}{after}"

    return LINK.sub(moved, markdown) + (_reference() if page.file.src_uri == "python.md" else "")


def _studies() -> str:
    """A table of the studies that come with the package."""
    rows = []
    for path in sorted((ROOT / "configs").rglob("*.toml"), key=lambda path: (len(path.parts), path)):
        study, name = tomllib.loads(path.read_text(encoding="utf-8")), path.relative_to(ROOT).as_posix()
        if "name" in study:  # others are tables of what was published
            rows.append(f"| [`{path.stem}`]({name}) | {study.get('claim', '')} | {study.get('title', '')} |")
    said = "`bn-ablate run NAME` trains one by its name, and `bn-ablate plan NAME` says what it takes."
    head = f"# Studies\n\nThese come with the package: {said}\n"
    return "\n".join([head, "| study | claim | what it asks |", "|---|---|---|", *rows, ""])


def _tour() -> str:
    """The notebook as a page: its text, its code, and what it printed."""
    parts = [f"[The notebook]({TOUR}){{ download }} itself, to be run.\n"]
    for cell in json.loads((ROOT / TOUR).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "text/html" in data:
                parts.append("<div markdown=0 class='wide'>\n" + "".join(data["text/html"]) + "\n</div>")
            elif text := "".join(output.get("text", data.get("text/plain", ""))).strip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join([parts[1], parts[0], *parts[2:]]) + "\n"


def _reference() -> str:
    """The public names, each as it is described where it is defined."""
    module = ast.parse((ROOT / "bn_ablate" / "__init__.py").read_text(encoding="utf-8"))
    homes = {
        alias.name: node.module
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bn_ablate.")
        for alias in node.names
    }
    parts = (f"::: {_defined(home, name)}.{name}\n" for name, home in sorted(homes.items()))
    return "\n".join(["\n## Reference\n\nEach name is loaded when it is first asked for.\n", *parts])


def _defined(module: str, name: str) -> str:
    """The module that defines what `module` may only hand on."""
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return _defined(node.module, name)
    return module
