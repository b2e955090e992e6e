"""The house keeps its floors: an import goes down, or stays in its room; a late one and one for type checkers too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("engine", "indexes", "benchmarks", "tests")
# What every room may import.
EVERYBODY = {"engine.errors", "engine.common", "engine.files", "indexes"}
# What each may import beside that, lowest first; a room is listed behind all that it imports.
ROOMS = {
    "indexes": set(),
    "engine.errors": set(),
    "engine.metrics": set(),
    "engine.common": set(),
    "engine.files": set(),
    "engine.statistics": set(),
    "engine.tables": set(),
    "engine.faces": set(),
    "engine.templates": {"statistics", "tables"},
    "engine.matching": {"templates"},
    "engine.calibration": {"statistics", "templates", "matching"},
    "engine.encoders": {"templates", "faces"},
    "engine.embedding": {"tables", "templates", "faces", "encoders"},
    "engine.answers": {"tables", "templates", "matching", "calibration", "embedding"},
    "engine.storage": {"statistics", "templates", "matching", "calibration", "answers"},
    "engine.maintenance": {"templates", "storage"},
    "engine.training": {"metrics", "templates", "faces", "matching", "encoders", "embedding"},
    "engine.gallery": {
        *("templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage", "maintenance"),
    },
    "engine.milvus": {
        *("templates", "faces", "matching", "calibration", "answers", "storage", "maintenance", "gallery"),
    },
    "engine.inspection": {
        *("statistics", "tables", "faces", "templates", "matching", "calibration", "encoders", "embedding", "answers"),
        *("training", "gallery"),
    },
    "engine.workflows": {
        *("tables", "templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage"),
        *("maintenance", "training", "gallery", "milvus"),
    },
    "engine.client": {"templates", "matching", "calibration", "answers"},
    "engine.service": {
        *("templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage", "gallery", "workflows"),
    },
}
# `engine` itself says what its public names are; the command line, benchmarks and tests stand above the house.
ABOVE = {"engine", "engine.cli"}
FILES_A_ROOM = 9


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "engine" and len(parts) > 1 else parts[0]


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(top: str) -> Iterator[tuple[str, Path]]:
    for file in sorted((ROOT / top).rglob("*.py")):
        yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file


@pytest.mark.parametrize("top", ["engine", "indexes"])
def test_no_import_climbs(top: str) -> None:
    climbs = []
    for module, file in modules_of(top):
        room = room_of(module)
        if room in ABOVE:
            continue
        allowed = {room, *EVERYBODY, *(f"engine.{name}" for name in ROOMS[room])} if top == "engine" else {"indexes"}
        ours = [imported for imported in imports_of(file) if imported.split(".")[0] in OURS]
        climbs += [f"{module} imports {imported}" for imported in ours if room_of(imported) not in allowed]
    assert climbs == []


def test_rooms_are_listed_from_the_bottom_up() -> None:
    seen: set[str] = set()
    for room, below in ROOMS.items():
        assert {f"engine.{name}" for name in below} <= seen, room
        seen.add(room)
    assert {room_of(module) for module, _ in modules_of("engine")} - ABOVE == {room for room in ROOMS if room != "indexes"}


@pytest.mark.parametrize("top", ["engine", "indexes", "benchmarks"])
def test_a_room_is_small(top: str) -> None:
    folders = [folder for folder in (ROOT / top).rglob("*") if folder.is_dir() and any(folder.glob("*.py"))]
    sizes = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py"))) - 1 for folder in folders}
    assert {name: size for name, size in sizes.items() if size > FILES_A_ROOM} == {}


@pytest.mark.parametrize("top", ["engine", "indexes", "benchmarks"])
def test_a_room_says_what_it_is(top: str) -> None:
    for module, file in modules_of(top):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), module


def test_tests_import_from_no_other_test() -> None:
    taken = [
        f"{file.relative_to(ROOT)} imports {imported}"
        for _, file in modules_of("tests")
        for imported in imports_of(file)
        if any(part.startswith("test_") for part in imported.split(".")[:-1])
    ]
    assert taken == []
