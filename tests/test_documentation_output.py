"""What README.md and docs/quickstart.md show as the output of commands is what these print."""

import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.data.drawn_people import draw_files
from tests.support.pages import DOCS, ROOT, sessions, told

ONEK = [sys.executable, "-c", "from engine.cli.app import main; main()"]


@pytest.mark.slow
def test_the_quickstarts_output_is_what_the_commands_print(tmp_path: Path) -> None:
    draw_files(runpy.run_path(str(DOCS / "scripts" / "photographs.py"))["shots"](tmp_path), nuisance=0.6)
    shown = sessions(DOCS / "quickstart.md")
    assert len(shown) >= 7
    for command, output in shown:
        program, *rest = shlex.split(command)
        words = [*ONEK, *rest] if program == "onek" else [program, *rest]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert told(done.stdout) == told(output), command


def test_the_readme_shows_what_the_quickstart_shows_and_leaves_some_out() -> None:
    whole = dict(sessions(DOCS / "quickstart.md"))
    shown = sessions(ROOT / "README.md")
    assert len(shown) >= 6
    for command, output in shown:
        lines = whole[command].splitlines()
        for line in output.splitlines():
            beginning, cut, _ = line.partition("...")
            assert any(each.startswith(beginning) if cut else each == line for each in lines), (command, line)
