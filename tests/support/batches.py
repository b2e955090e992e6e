"""Every number of rows that is handled at a time, made so small that a few dozen rows need many batches."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

# A module, and what it calls such a number. A number that another module lends is named in both.
SIZES = (
    ("indexes.base", "BATCH"),
    ("indexes.shortlist", "BATCH"),
    ("indexes.bounds", "BATCH"),
    ("indexes.measure", "_PART"),
    ("engine.segments", "BATCH"),
    ("engine.scores", "_BATCH"),
    ("engine.erasure", "_PART"),
    ("engine.audit", "_BATCH"),
    ("engine.batch", "BATCH"),
    ("engine.batch", "TEMPLATES"),
    ("engine.templates", "ROW_GROUP"),
    ("engine.sealing", "ROW_GROUP"),
    ("engine.repair", "ROW_GROUP"),
    ("engine.check", "ROW_GROUP"),
    ("engine.embed", "BATCH"),
    ("engine.spreading", "BATCH"),
    ("engine.journal", "PART"),
)
_ROOT = Path(__file__).parents[2]
# What is called so and is a share, no number of rows.
_OTHERS = {("engine.sealing", "PART"), ("engine.sealing", "_LARGE_PART")}


def shrink(monkeypatch: pytest.MonkeyPatch, size: int = 7) -> None:
    """Let every batch be of `size` rows until the test ends."""
    for module, name in SIZES:
        monkeypatch.setattr(f"{module}.{name}", size)
    # A default is taken when the function is made.
    monkeypatch.setattr(import_module("engine.templates").stream_templates, "__defaults__", (size,))


def sizes_in_the_code() -> set[tuple[str, str]]:
    """Every constant of the library that is called like a batch, where it is made and where it is imported."""
    found = set()
    for file in [*(_ROOT / "engine").glob("*.py"), *(_ROOT / "indexes").glob("*.py")]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)] if isinstance(node, ast.Assign) else []
            names += [each.asname or each.name for each in node.names] if isinstance(node, ast.ImportFrom) else []
            found |= {(f"{file.parent.name}.{file.stem}", name) for name in names if _of_rows(name)}
    return found - _OTHERS


def _of_rows(name: str) -> bool:
    return name.isupper() and any(name.strip("_").endswith(word) for word in ("BATCH", "PART", "ROW_GROUP", "TEMPLATES"))
