"""CITATION.cff holds to version 1.2.0 of its schema: the keys it requires and allows, and the form of their values."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import bn_ablate

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = {"cff-version", "message", "title", "authors"}
ALLOWED = REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
    "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
    "version",
}  # fmt: skip
OF_ENTITIES = {
    "name", "address", "alias", "city", "country", "date-end", "date-start", "email", "fax", "location", "orcid",
    "post-code", "region", "tel", "website",
}  # fmt: skip
OF_PERSONS = {
    "given-names", "family-names", "name-particle", "name-suffix", "affiliation", "address", "alias", "city", "country",
    "email", "fax", "orcid", "post-code", "region", "tel", "website",
}  # fmt: skip


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return said


def test_it_has_the_keys_of_the_schema_alone(citation: dict[str, Any]) -> None:
    assert citation.keys() >= REQUIRED
    assert citation.keys() <= ALLOWED
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")


def test_its_values_have_the_form_that_the_schema_asks_for(citation: dict[str, Any]) -> None:
    for key in ("message", "title", "abstract", "version", "license"):
        assert isinstance(citation[key], str)
        assert citation[key].strip()
    assert isinstance(citation["date-released"], dt.date)
    assert citation["keywords"]
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    assert all(isinstance(keyword, str) and keyword for keyword in citation["keywords"])
    assert citation["authors"]
    for author in citation["authors"]:
        assert author.keys() <= (OF_ENTITIES if "name" in author else OF_PERSONS)
        assert author
        if "orcid" in author:
            assert re.fullmatch(r"https://orcid\.org/(\d{4}-){3}\d{3}[\dX]", author["orcid"])


def test_it_cites_this_version_under_this_licence(citation: dict[str, Any]) -> None:
    assert citation["version"] == bn_ablate.__version__
    assert citation["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
