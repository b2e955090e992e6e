"""The trials of docs/trials: each command of a page is typed, and prints what stands below it."""

import re
import runpy
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from tests.support.pages import DOCS, sessions, told

TRIALS = runpy.run_path(str(DOCS / "scripts" / "trials.py"))["TRIALS"]
PAGES = sorted(set((DOCS / "trials").glob("*.md")) - {DOCS / "trials" / "index.md"})

# Pixels of boxes, and the blanks behind them: another machine may find a face a pixel further.
_UNSURE = re.compile(r"\d+,\d+ \d+x\d+ *")


def printed(command: str) -> str:
    """What a command of a page prints: onek in this process, the script that makes what a page begins with, or `cut`."""
    program, *words = shlex.split(command)
    if program == "python":
        assert words[0] == "docs/scripts/trials.py"
        TRIALS[words[1]](Path(words[2]))
        return ""
    if program == "onek":
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (command, done.output)
        return done.stdout
    assert program == "cut"
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


def test_each_trial_has_a_page() -> None:
    assert {page.stem for page in PAGES} == set(TRIALS)
    assert len(PAGES) == 7
    index = (DOCS / "trials" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", index)) == set(TRIALS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_trial_print_what_it_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = sessions(page)
    assert len(shown) >= 3
    for command, output in shown:
        lines, expected = (_UNSURE.sub("#", "\n".join(told(each))).splitlines() for each in (printed(command), output))
        assert len(lines) == len(expected), (command, lines)
        for line, whole in zip(expected, lines, strict=True):
            beginning, cut, _ = line.partition("...")
            assert whole.startswith(beginning) if cut else whole == line, command
