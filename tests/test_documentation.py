"""The documentation holds together: links lead somewhere, and what it lists is what there is."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import engine.errors
from engine.answers.results import SCHEMA
from engine.templates.model import schema
from engine.templates.provenance import Provenance
from tests.support.pages import DOCS, ROOT, blocks, headings, links, name_of, pages, prose


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.is_file() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


def test_the_readme_is_short_and_begins_with_what_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.encode()) < 6_000
    assert "recognises one in K" in readme.splitlines()[2]


def test_every_page_is_reached_from_the_first() -> None:
    seen, todo = set(), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link and link[0] != "#"]
    assert set(DOCS.rglob("*.md")) <= seen


def test_every_page_is_in_the_sites_menu() -> None:
    menu = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert menu == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="the extra docs is not installed")
def test_the_site_is_built_and_asks_no_network(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    made = {page.relative_to(tmp_path).with_suffix(".md") for page in tmp_path.rglob("*.html")}
    assert {page.relative_to(DOCS) for page in DOCS.rglob("*.md")} <= made
    assert 'id="engine.Gallery.identify"' in (tmp_path / "reference" / "library.html").read_text(encoding="utf-8")
    asked = [
        found
        for page in tmp_path.rglob("*.html")
        for found in re.findall(r"<(?:script|link|img|iframe)[^>]*=\"?(?:https?:)?//[^>]*>", page.read_text(encoding="utf-8"))
    ]
    assert asked == []


def test_the_picture_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(DOCS / "scripts" / "picture.py"))
    assert drawn["HERE"].read_text(encoding="utf-8") == drawn["picture"]()


def column_names(heading: str) -> list[str]:
    """The names in the first column of the table under a heading of docs/formats.md."""
    part = (DOCS / "formats.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_columns_of_results_are_described() -> None:
    assert column_names("Results") == SCHEMA.names


def test_the_columns_of_templates_are_described() -> None:
    assert column_names("Templates") == schema(Provenance("sface", "0" * 64, 4)).names


def test_every_error_is_described() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "errors.md").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named == set(engine.errors.__all__) - {"OnekError", "ListGuess", "FormerFile"}


def test_the_rooms_are_described_from_the_bottom_up() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))["ROOMS"]
    assert re.findall(r"^\| `([\w.]+)` \|", page, flags=re.MULTILINE) == [*rooms, "engine.cli", "benchmarks"]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:engine|indexes|benchmarks|tests|docs)/[\w/.]+)(?:::\w+)?`", prose(page))
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_every_public_name_is_in_the_reference_of_the_library() -> None:
    listed = re.findall(r"^::: ([\w.]+)$", (DOCS / "reference" / "library.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {f"engine.{name}" for name in engine.__all__} <= set(listed)
    for name in listed:
        parts = name.removeprefix("engine.").split(".")
        assert parts[0] in engine.__all__ or (ROOT / "engine" / "/".join(parts[:-1] or parts)).with_suffix(".py").is_file(), name


def test_examples_of_json_are_json() -> None:
    found = [block for page in pages() for block in blocks(page) if block.language == "json"]
    assert found
    for block in found:
        json.loads(block.text)


def test_every_fence_says_its_language() -> None:
    assert [(name_of(page), block.line) for page in pages() for block in blocks(page) if not block.language] == []


def test_examples_of_python_are_python() -> None:
    for page in pages():
        for block in blocks(page):
            if block.language == "python":
                ast.parse(block.text, f"{name_of(page)}:{block.line}")
