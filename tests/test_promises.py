"""`docs/promises.md`: each sentence is in the documentation, and each test that it names is there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def promises() -> list[list[str]]:
    """Sentence, page and test of each row."""
    rows = [line for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1:]]


def words(text: str) -> str:
    return " ".join(text.replace("**", "").split())


def test_there_are_rows() -> None:
    assert len(promises()) >= 40
    assert all(len(row) == 3 for row in promises())


@pytest.mark.parametrize(("sentence", "page", "test"), promises(), ids=lambda cell: cell[:60])
def test_a_promise_is_said_and_held(sentence: str, page: str, test: str) -> None:
    assert words(sentence) in words((ROOT / page).read_text(encoding="utf-8"))
    file, _, name = test.strip("`").partition("::")
    parsed = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(parsed) if isinstance(node, ast.FunctionDef)}
    assert name in functions
