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
    "engine.faces": set(),
    "engine.tables": {"faces"},
    "engine.templates": {"statistics", "tables"},
    "engine.exchange": {"tables", "templates"},
    "engine.matching": {"templates"},
    "engine.calibration": {"statistics", "templates", "matching"},
    "engine.arrays": {"faces", "templates"},
    "engine.encoders": {"templates", "faces", "arrays"},
    "engine.embedding": {"tables", "templates", "faces", "arrays", "encoders"},
    "engine.answers": {"tables", "templates", "matching", "calibration", "embedding"},
    "engine.storage": {"statistics", "templates", "matching", "calibration", "answers"},
    "engine.grouping": {"statistics", "tables", "faces", "templates"},
    "engine.maintenance": {"templates", "answers", "storage"},
    "engine.training": {"metrics", "templates", "faces", "arrays", "matching", "encoders", "embedding"},
    "engine.style": {"faces", "encoders"},
    "engine.gallery": {
        *("tables", "templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage"),
        *("maintenance",),
    },
    "engine.milvus": {
        *("templates", "faces", "matching", "calibration", "answers", "storage", "maintenance", "gallery"),
    },
    "engine.inspection": {
        *("statistics", "tables", "faces", "templates", "matching", "calibration", "encoders", "embedding", "answers"),
        *("grouping", "training", "gallery"),
    },
    "engine.evaluation": {
        *("metrics", "statistics", "tables", "templates", "matching", "calibration", "gallery"),
    },
    "engine.reports": {
        *("metrics", "statistics", "tables", "faces", "templates", "matching", "calibration", "embedding", "answers"),
        *("grouping", "inspection", "evaluation"),
    },
    "engine.workflows": {
        *("tables", "templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage"),
        *("grouping", "maintenance", "training", "gallery", "milvus", "inspection", "evaluation", "reports"),
    },
    "engine.client": {"templates", "matching", "calibration", "answers"},
    "engine.service": {
        *("templates", "faces", "matching", "calibration", "encoders", "embedding", "answers", "storage", "gallery", "workflows"),
    },
}
# `engine` itself says what its public names are; the command line, benchmarks and tests stand above the house.
ABOVE = {"engine", "engine.cli"}
FILES_A_ROOM = 9
# Who may ask whether a path lies in object storage, beside the rooms where users' paths come in: of each kind of file the one
# module that opens it. All others are handed paths of this machine.
TAKE_ADDRESSES = ("engine.files", "engine.workflows", "engine.cli")
OPEN_FILES = {
    "engine.tables.lists": "lists",
    "engine.tables.text_lines": "lists that are text",
    "engine.faces.images": "photographs, which are read one by one where they lie",
    "engine.embedding.photographs": "lists of photographs, and folders of them",
    "engine.templates.parquet": "template files",
    "engine.encoders.registry": "networks and their weights",
    "engine.grouping.groups_file": "groups",
    "engine.reports.pictures": "photographs that a table names, which are left alone where they lie elsewhere",
    "engine.milvus.building.build": "the bucket that Milvus reads from",
    "engine.milvus.building.bulk_import": "the same",
}


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


def test_a_path_is_found_once() -> None:
    """At the edge, or by the one module that opens files of its kind; nobody below asks again where it lies."""
    asking = {
        module
        for module, file in modules_of("engine")
        for imported in imports_of(file)
        if imported.startswith("engine.files.object_storage")
    }
    below = {module for module in asking if not module.startswith(tuple(f"{room}." for room in TAKE_ADDRESSES))}
    assert below == set(OPEN_FILES)


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


@pytest.mark.parametrize("top", ["engine", "indexes"])
def test_what_is_handed_over_does_not_change(top: str) -> None:
    """Dataclasses are frozen."""
    loose = []
    for module, file in modules_of(top):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for decorator in getattr(node, "decorator_list", []):
                said = ast.unparse(decorator)
                if said.split("(")[0] == "dataclass" and "frozen=True" not in said:
                    loose.append(f"{module}.{node.name}")
    assert loose == []


def packages_with_public_names() -> list[Path]:
    files = [file for top in ("engine", "indexes") for file in sorted((ROOT / top).rglob("__init__.py"))]
    return [file for file in files if "__all__" in file.read_text(encoding="utf-8")]


def defined_in(file: Path) -> set[str]:
    nodes = ast.parse(file.read_text(encoding="utf-8")).body
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
    names = {each.id for target in targets for each in getattr(target, "elts", [target]) if isinstance(each, ast.Name)}
    return names | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("file", packages_with_public_names(), ids=lambda file: ".".join(file.relative_to(ROOT).parent.parts))
def test_public_names_are_where_their_package_says(file: Path) -> None:
    """What type checkers read, what is imported late, and `__all__` name the same; no module of the package has such a name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    said = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (late,) = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    homes = {name: home for home, names in ast.literal_eval(late).items() for name in names}
    (public,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    assert said == homes
    assert sorted(ast.literal_eval(public)) == sorted(homes)
    for name, home in homes.items():
        assert name in defined_in(ROOT / f"{home.replace('.', '/')}.py"), f"{home} has no {name}"
        assert not (file.parent / f"{name}.py").exists(), f"{name} is a module's name too"


def test_every_room_has_public_names() -> None:
    """But for those whose modules are imported by themselves: helpers, and the command line."""
    having = {file.parent.relative_to(ROOT).as_posix() for file in packages_with_public_names()}
    rooms = {room.replace(".", "/") for room in ROOMS if (ROOT / room.replace(".", "/")).is_dir()}
    assert rooms - having == {"engine/common", "engine/files"}
