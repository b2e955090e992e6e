"""Small wrong changes of the code, each tried against the tests that mirror it: which are noticed (`make mutants`).

The changes are cosmic-ray's. A module has hundreds, so each run takes a sample of the places that it would change, the same for
the same seed, one change a place. They are made in a copy of the tree. The tests of a module run once, while coverage.py looks
on; each change meets those tests alone that come by its lines, the quick ones first, and the first that fails ends it. Every run
is a process of its own, forked from one that has imported what the tests import of others.

    python -m tests.mutants                     thirty of each module
    python -m tests.mutants --each 20 integrity twenty of engine/maintenance/integrity.py
"""

import argparse
import ast
import contextlib
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import accumulate
from pathlib import Path

import coverage
import pytest
from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

_ROOT = Path(__file__).parents[1]
# Seconds of a processor that the tests of a change may take, at least, and as a multiple of what they took; and how many times
# as long they may wait for one. What takes longer hangs, which is noticed.
_PATIENCE, _TIMES, _WAITING = 20, 3, 6
# Seconds of tests that a change meets, the quick ones: what they let through, the suite may yet notice.
_MOST = 30
# Seconds of a processor that the tests of a module may take.
_WHOLE = 1200
# What breaks at once: a class that is no dataclass any more.
_TRIVIAL = "core/RemoveDecorator"
# What the tests import of others, once for all runs.
_IMPORTED = (
    "cv2",
    "faiss",
    "hypothesis",
    "numpy",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pyarrow.parquet",
    "rich",
    "scipy.stats",
    "typer",
)
# Of the interval of a share.
_Z = 1.96

# Tests that mirror all of them.
_EVERYWHERE = ("test_architecture.py",)
# The tests that mirror each module.
MIRRORED: dict[str, tuple[str, ...]] = {
    "engine/calibration/thresholds.py": (
        "engine/calibration/test_thresholds.py",
        "engine/calibration/test_calibration.py",
        "engine/calibration/test_small_galleries.py",
        "engine/test_limits.py",
        "engine/faces/test_finding.py",
    ),
    "engine/matching/scoring.py": (
        "engine/matching/test_scoring.py",
        "engine/matching/test_quality_score.py",
        "engine/test_limits.py",
        "engine/calibration/test_calibration.py",
        "engine/storage/test_batches.py",
    ),
    "engine/matching/densities.py": ("engine/matching/test_scoring.py", "indexes/test_batches.py"),
    "engine/calibration/calibration.py": (
        "engine/calibration/test_by_hand.py",
        "engine/calibration/test_calibration.py",
        "engine/calibration/test_probes.py",
    ),
    "engine/statistics/score_tail.py": ("engine/statistics/test_score_tail.py", "engine/calibration/test_calibration.py"),
    "engine/calibration/impostor_searches.py": (
        "engine/calibration/test_impostor_searches.py",
        "engine/matching/test_scoring.py",
    ),
    "engine/matching/members.py": ("engine/matching/test_nearest_identities.py", "engine/matching/test_crowds.py"),
    "engine/matching/nearest_identities.py": (
        "engine/matching/test_nearest_identities.py",
        "engine/matching/test_crowds.py",
        "engine/matching/test_scoring.py",
        "engine/storage/test_batches.py",
    ),
    "engine/storage/changes.py": (
        "engine/storage/test_changes.py",
        "engine/gallery/test_stale.py",
        "engine/gallery/test_stateful.py",
    ),
    "engine/storage/catalogue": (
        "engine/storage/test_catalogue.py",
        "engine/storage/test_writer.py",
        "engine/storage/test_changes.py",
        "engine/storage/test_durability.py",
        "engine/gallery/test_stale.py",
        "engine/gallery/test_living.py",
        "engine/maintenance/test_faults.py",
    ),
    "engine/storage/writer_lock.py": (
        "engine/storage/test_writer.py",
        "engine/storage/test_durability.py",
        "engine/gallery/test_stale.py",
        "engine/gallery/test_threads.py",
        "engine/gallery/test_forking.py",
    ),
    "engine/storage/sealing.py": (
        "engine/gallery/test_living.py",
        "engine/gallery/test_transitions.py",
        "engine/gallery/test_stateful.py",
        "engine/calibration/test_small_galleries.py",
        "engine/maintenance/test_erasure.py",
    ),
    "engine/maintenance/erasure.py": ("engine/maintenance/test_erasure.py",),
    "engine/maintenance/integrity.py": ("engine/maintenance/test_faults.py", "engine/maintenance/test_integrity.py"),
    "engine/templates/parquet.py": (
        "engine/templates/test_parquet.py",
        "engine/templates/test_quality.py",
        "engine/test_limits.py",
        "engine/storage/test_batches.py",
        "engine/files/test_budgets.py",
    ),
    "engine/templates/foreign_vectors.py": (
        "engine/templates/test_vector_files.py",
        "engine/templates/test_parquet.py",
        "engine/test_limits.py",
        "engine/storage/test_batches.py",
    ),
    "engine/tables/lists.py": ("engine/tables/test_lists.py",),
    "engine/tables/text_lines.py": ("engine/tables/test_lists.py",),
    "engine/files/outputs.py": ("engine/files/test_outputs.py",),
    "indexes": ("indexes",),
}


def main() -> None:
    """Try a sample of changes, and print which were not noticed."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("modules", nargs="*", help="parts of the names of modules; by default all that are mirrored")
    asked.add_argument("--each", type=int, default=30, help="changes of each module (default 30)")
    asked.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    asked.add_argument("--lines", type=int, nargs="+", help="of the sample, the changes of these lines alone")
    options = asked.parse_args()
    chosen = {
        name: tests for name, tests in MIRRORED.items() if not options.modules or any(part in name for part in options.modules)
    }
    if not chosen:
        sys.exit(f"no module is called so; expected some of {', '.join(MIRRORED)}")
    with tempfile.TemporaryDirectory(prefix="onek-mutants-") as folder:
        copied(Path(folder))
        os.chdir(folder)
        sys.path = [folder, *(path for path in sys.path if Path(path).resolve() != _ROOT)]
        del sys.modules["tests"]  # which is that of the tree
        # What is compiled of a file that changes within a second is taken for that of the file before.
        os.environ |= {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        for name in _IMPORTED:
            importlib.import_module(name)
        for module, tests in chosen.items():
            try_module(module, tests, options.each, options.seed, options.lines)


def copied(folder: Path) -> None:
    """The tree as git knows it, with what is changed and not committed; mutants are made there."""
    names = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=_ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (_ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_ROOT / name, folder / name)


def try_module(module: str, files: tuple[str, ...], each: int, seed: int, lines: list[int] | None) -> None:
    """Try `each` changes of a module and say what became of them."""
    tests = observed(module, [f"tests/{file}" for file in (*_EVERYWHERE, *files)])
    noticed, changes = 0, sample(module, each, seed)
    failed: Counter[str] = Counter()
    if lines:
        changes = [change for change in changes if change.start_pos[0] in lines]
    changes = [change for change in changes if changed(change.module_path.read_text(encoding="utf-8"), change) is not None]
    for change in changes:
        path = change.module_path
        before = path.read_text(encoding="utf-8")
        after = changed(before, change) or ""
        chosen = tests.of(path, lines_about(before, *change.start_pos), failed)
        path.write_text(after, encoding="utf-8")
        try:
            survived = not chosen or passes(chosen, max(_PATIENCE, _TIMES * tests.seconds(chosen)), failed)
        finally:
            path.write_text(before, encoding="utf-8")
        noticed += not survived
        if survived:
            said = only_changed(before, after)
            say(f"\n{path}:{change.start_pos[0]} in {change.definition_name}, met by {len(chosen)} tests\n{said}")
    low, high = interval(noticed, len(changes))
    say(f"{module}: {noticed} of {len(changes)} noticed, {low:.0%} to {high:.0%}")


def changed(code: str, change: MutationSpec) -> str | None:
    """The code of a module with a change; None where cosmic-ray cannot make it: it takes dotted names of exceptions for plain."""
    try:
        return mutate_code(code, get_operator(change.operator_name)(**change.operator_args), change.occurrence) or ""
    except AttributeError:
        return None


def sample(module: str, each: int, seed: int) -> list[MutationSpec]:
    """Some of the changes that cosmic-ray knows of a module, one for each place."""
    with tempfile.TemporaryDirectory() as folder, use_db(Path(folder) / "session.sqlite", WorkDB.Mode.create) as database:
        init(find_modules([Path(module)]), database, {})
        places = defaultdict(list)
        for item in database.work_items:
            (change,) = item.mutations
            if not change.operator_name.startswith(_TRIVIAL):
                places[change.module_path, change.start_pos].append(change)
    for path in {path for path, _ in places}:
        for start, end in unnoticeable(path):
            for where in [where for where in places if where[0] == path and start <= where[1] < end]:
                del places[where]
    chosen = random.Random(f"{seed} {module}")  # noqa: S311
    where = chosen.sample(sorted(places), min(each, len(places)))
    return [chosen.choice(places[place]) for place in sorted(where)]


def unnoticeable(path: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where what no test can notice begins and ends: annotations, and that lists which are always alike are taken to be."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        strict = node.value if isinstance(node, ast.keyword) and node.arg == "strict" else None
        for found in (getattr(node, "annotation", None), getattr(node, "returns", None), strict):
            if isinstance(found, ast.expr):
                yield (found.lineno, found.col_offset), (found.end_lineno or 0, found.end_col_offset or 0)


def lines_about(source: str, line: int, column: int) -> range:
    """The lines of the innermost statement about a place, without the statements within it; of a definition, its whole body."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt) or not (node.lineno, node.col_offset) <= (line, column):
            continue
        body = getattr(node, "body", None)
        defines = isinstance(node, ast.FunctionDef | ast.ClassDef)
        end = body[0].lineno - 1 if body and not defines else node.end_lineno or line
        starts = body[0].lineno if body else end + 1
        if line <= max(node.lineno, end) and not (defines and line >= starts):
            found = range(node.lineno, max(node.lineno, end) + 1)
    return found


@dataclass(frozen=True)
class Observed:
    """How many seconds each test took, and the tests that came by each line of each file."""

    took: dict[str, float]
    by_line: dict[str, dict[int, list[str]]]

    def of(self, path: Path, lines: range, failed: Counter[str]) -> list[str]:
        """The tests that come by some lines, or all where these run at import: quick ones first, and such as noticed others."""
        met = self.by_line.get(str(path), {})
        tests = {test for line in lines for test in met.get(line, [])}
        tests = set(self.took) if "" in tests else tests
        ordered = sorted(tests & set(self.took), key=lambda test: self.took[test] / (1 + failed[test]))
        until = accumulate(self.took[test] for test in ordered)
        return [test for test, seconds in zip(ordered, until, strict=True) if seconds <= _MOST or test == ordered[0]]

    def seconds(self, tests: list[str]) -> float:
        return sum(self.took[test] for test in tests)


def observed(module: str, files: list[str]) -> Observed:
    """Run the tests of a module as it is."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        if in_fork(lambda: observe(module, files, seen), _WHOLE, Path(folder) / "output"):
            sys.exit(f"{(Path(folder) / 'output').read_text()}\n{module}: its tests fail as it is")
        took, by_line = json.loads(seen.read_text())
    found = Observed(took, {path: {int(line): tests for line, tests in lines.items()} for path, lines in by_line.items()})
    say(f"{module}: {len(took)} tests take {found.seconds(list(took)):.0f} s")
    return found


def observe(module: str, files: list[str], seen: Path) -> int:
    """As `observed`, in a process of its own, which writes what it saw."""
    looking = coverage.Coverage(data_file=None, include=[f"{module}/*", module], config_file=False)
    took: dict[str, float] = {}

    class Watch:
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            looking.switch_context(item.nodeid)
            start = time.perf_counter()
            result = yield
            took[item.nodeid] = time.perf_counter() - start
            looking.switch_context("")
            return result

    looking.start()
    code = run_pytest(files, [Watch()])
    looking.stop()
    data = looking.get_data()
    by_line = {str(Path(file).relative_to(Path.cwd())): data.contexts_by_lineno(file) for file in data.measured_files()}
    seen.write_text(json.dumps([took, by_line]))
    return code


def run_pytest(tests: list[str], plugins: list[object]) -> int:
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-o", "addopts=", "-m", "not slow"]
    return int(pytest.main([*options, *tests], plugins=plugins))


def passes(tests: list[str], patience: float, failed: Counter[str]) -> bool:
    """Whether all of some tests do; counts the one that does not."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "failed"

        class Watch:
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if report.failed:
                    told.write_text(report.nodeid)

        passed = in_fork(lambda: run_pytest(tests, [Watch()]), patience) == 0
        failed.update([told.read_text()] if told.exists() else [])
    return passed


def in_fork(what: Callable[[], int], patience: float, output: Path = Path(os.devnull)) -> int:
    """What it returns in a process of its own, which ends with those that it starts; not 0 where it takes longer."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(patience), math.ceil(patience)))
            told = os.open(output, os.O_RDWR | os.O_CREAT)
            for stream in range(3):
                os.dup2(told, stream)
            code = what()
        finally:
            os._exit(code)
    ends, ended, status = time.monotonic() + _WAITING * patience, 0, 1
    while not ended and time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0 if ended else 0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
        say(f"no end after {_WAITING * patience:.0f} s")
    return os.waitstatus_to_exitcode(status) if ended else 1


def interval(noticed: int, tried: int) -> tuple[float, float]:
    """Wilson's, of a share, at 95 %."""
    share, spread = noticed / tried, _Z**2 / tried
    middle, width = share + spread / 2, _Z * math.sqrt((share * (1 - share) + spread / 4) / tried)
    return (middle - width) / (1 + spread), (middle + width) / (1 + spread)


def say(text: str) -> None:
    """At once, since the next change takes its time."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def only_changed(before: str, after: str) -> str:
    """The lines that go and come."""
    diff = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---"))


if __name__ == "__main__":
    main()
