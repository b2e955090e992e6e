"""Help: what it lists, that it fits the terminal, and that its examples do what they say."""

import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks.data.drawn_people import picture_of
from engine.cli.app import COMMANDS, app
from engine.cli.shell.examples import EXAMPLES
from engine.errors import OnekError
from tests.support.pages import DOCS

RUNNER = CliRunner()
NAMES = ["kian", "lena", "amir", "ada", "nora", "finn", "ines", "joel", "mina", "omar", "rosa", "tove"]
OURS = [name for group in COMMANDS.values() for name in group]
# These train or read networks for minutes: `make test-slow`.
# This one answers until it is ended; its own tests start it.
ENDLESS = "serve"
SLOW = {"train", "explain-encoder", "explain", "demo"}


def shown(width: int, *words: str) -> str:
    answer = RUNNER.invoke(app, [*words], env={"COLUMNS": str(width), "TERM": "xterm"})
    assert answer.exit_code == 0, answer.output
    return answer.output.rstrip()


def test_every_command_has_its_group_and_its_line() -> None:
    page = shown(80, "-h")
    assert page == shown(80, "--help") == shown(80, "help")
    at = [page.index(f"─ {group} ─") for group in COMMANDS]
    assert at == sorted(at)
    for name in OURS:
        assert len(re.findall(rf"^│ {name} +\S.*\. +│$", page, flags=re.MULTILINE)) == 1, name


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", OURS)
def test_help_fits_and_breaks_no_word(name: str, width: int) -> None:
    page = shown(width, name, "-h")
    assert page == shown(width, "help", name)
    assert max(map(len, page.splitlines())) <= width
    assert "…" not in page
    words = set(re.sub("[│╭╮╰╯─]", " ", page).split())
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    texts = [command.help, *EXAMPLES[name], *(str(taken.metavar or "") for taken in command.params)]
    texts += [getattr(taken, "help", None) or "" for taken in command.params]
    assert {word for text in texts for word in text.split()} <= words
    assert page.count("  onek ") >= 2


def test_unknown_commands_are_answered() -> None:
    refusal = RUNNER.invoke(app, ["help", "verfy"]).exception
    assert isinstance(refusal, OnekError)
    assert str(refusal) == "no command is called verfy; did you mean verify? onek help lists them"


def test_the_reference_has_the_examples() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert [line for both in EXAMPLES.values() for line in both if f"\n    {line}\n" not in page] == []


def test_each_command_has_examples_of_its_own() -> None:
    assert set(OURS) <= set(EXAMPLES)
    for name, both in EXAMPLES.items():
        assert len(set(both)) == 2
        for line in both:
            assert shlex.split(line)[:2] == ["onek", name]
            assert len(line) <= 76


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, drawn: list[np.ndarray], drawn_again: list[np.ndarray]) -> Path:
    """A folder with all that examples name."""
    folder = tmp_path_factory.mktemp("stage")

    def write(picture: np.ndarray, name: str) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), picture[..., ::-1])

    for name, one, two in zip(NAMES, drawn, drawn_again, strict=True):
        write(one, f"photos/{name}/1.jpg")
        write(two, f"photos/{name}/2.jpg")
    write(drawn_again[0], "door.jpg")
    write(np.hstack(drawn[:2]), "party.jpg")
    write(drawn_again[1], "visitors/1.jpg")
    write(drawn_again[2], "visitors/2.jpg")
    write(drawn_again[-1], "newcomers/yara/1.jpg")
    random = np.random.default_rng(0)
    np.save(folder / "vectors.npy", random.normal(size=(3, 8)))
    known = [{"identity": f"db/{name}/1.jpg", "embedding": random.normal(size=8).tolist()} for name in NAMES]
    (folder / "representations.pkl").write_bytes(pickle.dumps(known))
    many = random.normal(size=(60, 64)).repeat(3, axis=0) + 0.5 * random.normal(size=(180, 64))
    named = pa.table({"vector": many.astype(np.float32).tolist(), "identity": [f"id{row // 3}" for row in range(180)]})
    pq.write_table(named, folder / "many.parquet")
    (folder / "names.txt").write_text("kian\nlena\namir\n")
    shots = {f"s{seed}/1.jpg": picture_of(seed, 0, nuisance=0.6) for seed in range(900, 912)}
    for name, picture in shots.items():
        write(picture, f"strangers/{name}")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            "embed photos/ -o all.parquet",
            f"embed {' '.join(f'photos/{name}' for name in NAMES[:-1])} -o people.parquet --labels folder",
            "embed photos/tove -o rest.parquet --labels folder",
            "group all.parquet -o album.parquet",
            "build-index people.parquet -o gallery",
            "embed strangers -o strangers.parquet",
            "build-index rest.parquet -o other",
            "backup gallery copy",
            "identify all.parquet -g gallery -o found.parquet",
            "train-projection all.parquet -o learnt.npz",
        ):
            done = RUNNER.invoke(app, shlex.split(line))
            assert done.exit_code == 0, (line, done.output, done.exception)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(stage, tmp_path / "stage")
    monkeypatch.chdir(tmp_path / "stage")
    return tmp_path / "stage"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=line, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, both in EXAMPLES.items()
        if name != ENDLESS
        for line in both
    ],
)
def test_examples_do_what_they_say(here: Path, line: str) -> None:
    ours = "from engine.cli.app import main; main()"
    if name_of(line) == "demo" or set(line) & set("|>"):
        words = line.replace("onek", f"{shlex.quote(sys.executable)} -c {shlex.quote(ours)}", 1)
        done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - examples are ours
        assert done.returncode == 0, done.stderr
        return
    answer = RUNNER.invoke(app, shlex.split(line)[1:])
    assert answer.exit_code == 0, (answer.output, answer.exception)


WITH_JSON = [both[0].partition(" | ")[0] for name, both in EXAMPLES.items() if name in OURS and name not in ("help", ENDLESS)]


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[pytest.mark.slow] if line.split()[1] in SLOW else []) for line in WITH_JSON]
)
def test_what_programs_are_told_is_documented(here: Path, line: str) -> None:
    answer = RUNNER.invoke(app, [*shlex.split(line)[1:], "--json"])
    assert answer.exit_code == 0, (answer.output, answer.exception)
    told = json.loads(answer.stdout)
    page = (DOCS / "formats.md").read_text(encoding="utf-8").split("## What programs are told")[1]
    row = next(each for each in page.splitlines() if each.startswith(f"| `{name_of(line)}` |"))
    documented = re.findall(r"`(\w+)`", row.split(" | ", 1)[1])
    assert told
    assert set(told) <= set(documented)
    assert set(documented) - set(told) <= SOMETIMES | {
        "name",
        "default",
        "chip",
        "mirror",
        "quality",
        "licence",
        "source",
        "identity",
    }


SOMETIMES = {"decided_before", "results_file", "problems_file", "dim", "threshold", "templates", "decides"}
SOMETIMES |= {"template_id", "source", "face", "box", "enrolled_as", "vector", "place", "kind", "erased", "verified", "files"}
SOMETIMES |= {"answers", "pages", "recognised", "people_file", "value", "where", "failed"}


def name_of(line: str) -> str:
    return shlex.split(line)[1]
