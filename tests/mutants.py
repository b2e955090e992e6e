"""Small wrong changes of the code, each tried against the tests that mirror it: which are noticed (`make mutants`).

The changes are cosmic-ray's. A module has hundreds, so each run takes a sample of the places that it would change, the same for
the same seed, one change a place. They are made in a copy of the tree.

    python -m tests.mutants                     five of each module
    python -m tests.mutants --each 20 integrity twenty of engine/maintenance/integrity.py
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

_ROOT = Path(__file__).parents[1]
# Seconds that the tests of a module may take; what takes longer hangs, which is noticed.
_PATIENCE = 240
# What no test can notice, and what no test is needed for: `X | None` in a signature, and a class that is no dataclass any more.
_TRIVIAL = ("core/ReplaceBinaryOperator_BitOr_", "core/RemoveDecorator")

# The tests that mirror each module, the quick ones first.
MIRRORED: dict[str, tuple[str, ...]] = {
    "engine/calibration/thresholds.py": (
        "engine/calibration/test_thresholds.py",
        "engine/test_limits.py",
        "engine/calibration/test_calibration.py",
        "engine/faces/test_finding.py",
    ),
    "engine/matching/scoring.py": ("engine/matching/test_scoring.py", "engine/test_limits.py"),
    "engine/calibration/calibration.py": ("engine/calibration/test_calibration.py",),
    "engine/statistics/score_tail.py": ("engine/statistics/test_score_tail.py", "engine/calibration/test_calibration.py"),
    "engine/calibration/impostor_searches.py": ("engine/calibration/test_calibration.py", "engine/matching/test_scoring.py"),
    "engine/matching/nearest_identities.py": ("engine/matching/test_nearest_identities.py", "engine/matching/test_scoring.py"),
    "engine/storage/changes.py": (
        "engine/gallery/test_stateful.py",
        "engine/gallery/test_stale.py",
        "engine/gallery/test_living.py",
    ),
    "engine/storage/catalogue": (
        "engine/maintenance/test_faults.py",
        "engine/gallery/test_stale.py",
        "engine/storage/test_durability.py",
    ),
    "engine/storage/writer_lock.py": ("engine/storage/test_durability.py", "engine/gallery/test_stale.py"),
    "engine/storage/sealing.py": ("engine/gallery/test_transitions.py", "engine/gallery/test_stateful.py"),
    "engine/maintenance/erasure.py": ("engine/maintenance/test_erasure.py",),
    "engine/maintenance/integrity.py": ("engine/maintenance/test_faults.py", "engine/maintenance/test_integrity.py"),
    "engine/templates/parquet.py": (
        "engine/templates/test_parquet.py",
        "engine/test_limits.py",
        "engine/storage/test_batches.py",
    ),
    "engine/templates/foreign_vectors.py": (
        "engine/templates/test_vector_files.py",
        "engine/templates/test_parquet.py",
        "engine/test_limits.py",
    ),
    "engine/tables/lists.py": ("engine/tables/test_lists.py",),
    "engine/files/outputs.py": ("engine/files/test_outputs.py",),
    "indexes": ("indexes",),
}


def main() -> None:
    """Try a sample of changes, and print which were not noticed."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0] if __doc__ else "")
    asked.add_argument("modules", nargs="*", help="parts of the names of modules; by default all that are mirrored")
    asked.add_argument("--each", type=int, default=5, help="changes of each module (default 5)")
    asked.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    options = asked.parse_args()
    chosen = {
        name: tests for name, tests in MIRRORED.items() if not options.modules or any(part in name for part in options.modules)
    }
    if not chosen:
        sys.exit(f"no module is called so; expected some of {', '.join(MIRRORED)}")
    with tempfile.TemporaryDirectory(prefix="onek-mutants-") as folder:
        copied(Path(folder))
        os.chdir(folder)
        os.environ |= {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        for module, tests in chosen.items():
            try_module(module, tests, options.each, options.seed)


def copied(folder: Path) -> None:
    """The tree as git knows it, with what is changed and not committed; mutants are made there."""
    names = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=_ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (_ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_ROOT / name, folder / name)


def try_module(module: str, tests: tuple[str, ...], each: int, seed: int) -> None:
    """Try `each` changes of a module and say what became of them."""
    files = " ".join(f"tests/{test}" for test in tests)
    command = f"{sys.executable} -m pytest -q -x -n 0 -p no:cacheprovider -o addopts= -m 'not slow' {files}"
    if subprocess.run(command, shell=True, capture_output=True, check=False).returncode:  # noqa: S602
        sys.exit(f"{module}: its tests fail as it is: {command}")
    killed, changes = 0, sample(module, each, seed)
    for change in changes:
        result = mutate_and_test([change], command, _PATIENCE)
        if result.test_outcome is TestOutcome.SURVIVED:
            say(f"\n{change.module_path}:{change.start_pos[0]} in {change.definition_name}\n{only_changed(result.diff or '')}")
        else:
            killed += 1
    say(f"{module}: {killed} of {len(changes)} noticed")


def sample(module: str, each: int, seed: int) -> list[MutationSpec]:
    """Some of the changes that cosmic-ray knows of a module, one for each place."""
    with tempfile.TemporaryDirectory() as folder, use_db(Path(folder) / "session.sqlite", WorkDB.Mode.create) as database:
        init(find_modules([Path(module)]), database, {})
        places = defaultdict(list)
        for item in database.work_items:
            (change,) = item.mutations
            if not change.operator_name.startswith(_TRIVIAL):
                places[change.module_path, change.start_pos].append(change)
    chosen = random.Random(f"{seed} {module}")  # noqa: S311
    where = chosen.sample(sorted(places), min(each, len(places)))
    return [chosen.choice(places[place]) for place in sorted(where)]


def say(text: str) -> None:
    """At once, since the next change takes its time."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def only_changed(diff: str) -> str:
    """The lines of a diff that go and come."""
    return "\n".join(line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))


if __name__ == "__main__":
    main()
