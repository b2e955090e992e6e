"""How the commands speak: tables and results to standard output, pipes, encodings, colours, quiet, verbose, progress."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli import console
from engine.cli.app import app
from engine.cli.shell import lines
from engine.cli.shell.lines import EVERY, Lines
from engine.errors import OutputError

RUNNER = CliRunner()
MAIN = "from engine.cli.app import main; main()"


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty people of two vectors each, one called Zoë; p.parquet has them as probes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(30, 8)).repeat(2, axis=0)
    names = ["Zoë" if row < 2 else f"id{row // 2}" for row in range(60)]
    pq.write_table(pa.table({"vector": values.astype(np.float32).tolist(), "identity": names}), "p.parquet")
    assert RUNNER.invoke(app, ["build-index", "p.parquet", "-o", "g"]).exit_code == 0
    return tmp_path / "g"


def onek(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


IDENTIFY = ["identify", "p.parquet", "-g", "g", "--threshold", "0.3"]


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_results_on_standard_output_are_those_of_a_file(gallery: Path, out: str) -> None:
    assert onek(*IDENTIFY, "-o", "r.csv").returncode == 0
    done = onek(*IDENTIFY, "-o", out)
    assert done.returncode == 0
    assert done.stdout == Path("r.csv").read_text(encoding="utf-8")
    assert done.stderr.splitlines()[-1] == "60 probe faces: 60 identified, 0 unknown, 0 failed"
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 60


def test_without_a_file_a_table_is_shown(gallery: Path) -> None:
    lines = RUNNER.invoke(app, IDENTIFY).stdout.splitlines()
    assert lines[0].split() == ["picture", "face", "who", "distance", "by", "chance"]
    assert "Zoë" in lines[1]
    assert lines[51] == "and 10 more; --out FILE has all of them"
    assert lines[-1] == "60 probe faces: 60 identified, 0 unknown, 0 failed"
    with_candidates = RUNNER.invoke(app, [*IDENTIFY, "--candidates", "--top", "2"]).stdout.splitlines()
    assert with_candidates[2] == "  0.0000  Zoë"
    assert len(with_candidates) == len(lines) + 100


def test_programs_are_told_all_results(gallery: Path) -> None:
    told = json.loads(RUNNER.invoke(app, [*IDENTIFY, "--json"]).stdout)
    assert len(told["results"]) == told["probes"] == told["identified"] == 60
    assert (told["results"][0]["identity"], told["results"][0]["box"]) == ("Zoë", None)
    refusal = RUNNER.invoke(app, [*IDENTIFY, "--json", "-o", "-"]).exception
    assert isinstance(refusal, OutputError)
    assert isinstance(RUNNER.invoke(app, [*IDENTIFY, "--candidates", "-o", "r.csv"]).exception, OutputError)


def test_a_reader_that_has_seen_enough_ends_it_quietly(gallery: Path) -> None:
    for words in (["list", "g"], [*IDENTIFY, "-o", "-"], ["info", "g"], IDENTIFY):
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(
            [sys.executable, "-c", MAIN, *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert process.returncode == 141, (words, process.stderr)
        assert "Traceback" not in process.stderr
        assert "BrokenPipe" not in process.stderr


def test_a_terminal_of_ascii_is_answered(gallery: Path) -> None:
    done = onek("list", "g", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Zo\\xeb,2\n" in done.stdout
    assert onek("--help", PYTHONIOENCODING="ascii").returncode == 0


def test_no_colour_where_none_is_wanted(gallery: Path) -> None:
    for words in (["--help"], ["identify", "--help"], ["encoders"], IDENTIFY):
        done = onek(*words, NO_COLOR="1", FORCE_COLOR="1", TERM="xterm-256color")
        assert done.returncode == 0
        assert "\x1b[3" not in done.stdout + done.stderr
        assert "\x1b[9" not in done.stdout + done.stderr


def test_quiet_leaves_what_was_asked_for(gallery: Path) -> None:
    made = onek("build-index", "p.parquet", "-o", "g2", "-q")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert onek("list", "g2", "--quiet").stdout.startswith("identity,templates\n")
    table = onek(*IDENTIFY, "-q")
    assert table.stderr == ""
    assert len(table.stdout.splitlines()) == 52
    refused = onek("build-index", "p.parquet", "-o", "g2", "-q")
    assert refused.returncode == 2
    assert "g2 exists already" in refused.stderr


def test_verbose_says_what_it_cost(gallery: Path) -> None:
    assert " of memory at the end\n" in onek("info", "g", "--verbose").stderr


def test_an_error_leaves_no_object(gallery: Path) -> None:
    done = onek("info", "nowhere", "--json")
    assert (done.returncode, done.stdout) == (2, "")


def test_on_a_terminal_lines_end_between_words() -> None:
    path, told = "/srv/" + "x" * 60, io.StringIO()
    terminal = console._Plain(file=told, force_terminal=True, width=40, soft_wrap=True, markup=False, highlight=False)
    terminal.print(f"  threshold 0.36 (quality): strangers 1 % at K=60, by well-known people, in {path}")
    lines = told.getvalue().splitlines()
    assert lines == [
        "  threshold 0.36 (quality): strangers 1",
        "    % at K=60, by well-known people, in",
        f"    {path}",
    ]
    told = io.StringIO()
    pipe = console._Plain(file=told, width=40, soft_wrap=True, markup=False, highlight=False)
    pipe.print("word " * 30)
    assert len(told.getvalue().splitlines()) == 1


def test_counts_of_one_are_singular() -> None:
    assert [console.count(n, "identity", "identities") for n in (0, 1, 2000)] == [
        "0 identities",
        "1 identity",
        "2,000 identities",
    ]


def test_columns_stand_below_each_other_and_nothing_is_cut() -> None:
    long = "x" * 300
    assert list(console.columns([("a", "b"), ("李", "c"), (long, "d\x1b")])) == [
        "a" + " " * 301 + "b",
        "李" + " " * 300 + "c",
        long + "  d\\x1b",
    ]


def test_in_a_pipe_progress_is_a_line_every_ten_seconds() -> None:
    now, said = [0.0], []
    with Lines(said.append, lambda: now[0]) as moving:
        task = moving.add_task("embedding")
        moving.update(task, total=4000)
        for second in range(1, 41):
            now[0] = float(second)
            moving.advance(task, 100)
    assert said == [
        "embedding: 200 of 4,000 (5%), about 38 seconds left",
        "embedding: 1,200 of 4,000 (30%), about 28 seconds left",
        "embedding: 2,200 of 4,000 (55%), about 18 seconds left",
        "embedding: 3,200 of 4,000 (80%), about 8 seconds left",
    ]
    unknown = Lines(said.append, lambda: now[0])
    task = unknown.add_task("reading")
    now[0] += EVERY
    unknown.advance(task, 5)
    assert said[-1] == "reading: 5"


def test_what_is_short_is_not_announced() -> None:
    now, said = [0.0], []
    with Lines(said.append, lambda: now[0]) as moving:
        task = moving.add_task("embedding", total=9)
        for second in range(1, 10):
            now[0] = float(second)
            moving.advance(task, 1)
    assert said == []


@pytest.mark.parametrize("loading", [0.0, 3.0, 60.0])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_announced_is_what_it_takes(loading: float, seed: int) -> None:
    """Photographs of all sizes, in batches, once the network was loaded: the clock is drawn, the arithmetic is that of a run."""
    random, now, said = np.random.default_rng(seed), [0.0], []
    with Lines(lambda line: said.append((now[0], line)), lambda: now[0]) as moving:
        task = moving.add_task("embedding", total=3000)
        now[0] += loading
        for _ in range(300):
            now[0] += float(random.gamma(4, 0.05))
            moving.advance(task, 10)
    at, first = next((at, line) for at, line in said if "left" in line)
    minutes, seconds = re.fullmatch(r".*about (?:(\d+) minutes? and )?(\d+) seconds? left", first).groups()
    announced = 60 * int(minutes or 0) + int(seconds)
    assert 1 / 1.5 < announced / (now[0] - at) < 1.5, (first, now[0] - at)


def test_in_a_pipe_a_stage_that_stands_still_is_told_of_too() -> None:
    """What one call of another library does takes minutes, and nobody can say how far it is."""
    now, said = [0.0], []
    standing = Lines(said.append, lambda: now[0])
    standing.say_if_due()
    standing.add_task("training", total=1)
    for second in (5.0, 12.0, 15.0, 22.0):
        now[0] = second
        standing.say_if_due()
    assert said == ["training: 0 of 1 (0%)"] * 2


def test_a_thread_asks_whether_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_ASKED", 0.001)
    said, spoken = [], threading.Event()

    def say(line: str) -> None:
        said.append(line)
        spoken.set()

    ticks = itertools.count(0, 100)
    with Lines(say, lambda: float(next(ticks))) as standing:
        standing.add_task("training", total=1)
        assert spoken.wait(30)
    assert said[0] == "training: 0 of 1 (0%)"


def test_a_doctor_tells_no_paths_and_no_names(gallery: Path) -> None:
    answer = RUNNER.invoke(app, ["doctor"])
    assert answer.exit_code == 0, answer.exception
    assert len(answer.stdout.splitlines()) <= 24
    told = RUNNER.invoke(app, ["doctor", "--json"]).stdout
    assert json.loads(told)["opencv"]
    assert " faces/s" in told
    for word in (str(gallery.parent), str(Path.home()), sys.prefix, "/"):
        assert word not in told.replace("faces/s", "")
