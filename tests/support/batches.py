"""Every number of rows that is handled at a time, made so small that a few dozen rows need many batches."""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_ENDINGS = ("BATCH", "PART", "ROW_GROUP", "TEMPLATES")


def shrink(monkeypatch: pytest.MonkeyPatch, size: int = 7) -> None:
    """Let every batch be of `size` rows until the test ends."""
    for module, name in sizes_in_the_code():
        monkeypatch.setattr(f"{module}.{name}", size)
    # A default is taken when the function is made.
    monkeypatch.setattr(import_module("engine.templates.parquet").stream_templates, "__defaults__", (size,))


@cache
def sizes_in_the_code() -> frozenset[tuple[str, str]]:
    """Every module of the library and what it calls a number of rows, where that is made and where it is imported: the constants
    that are called like a batch and are whole numbers.
    """
    found = set()
    for file in [*(_ROOT / "engine").rglob("*.py"), *(_ROOT / "indexes").rglob("*.py")]:
        names = set()
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                names |= {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            elif isinstance(node, ast.ImportFrom):
                names |= {each.asname or each.name for each in node.names}
        if called := {name for name in names if name.isupper() and name.endswith(_ENDINGS)}:
            module = import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__"))
            found |= {(module.__name__, name) for name in called if isinstance(getattr(module, name), int)}
    return frozenset(found)
