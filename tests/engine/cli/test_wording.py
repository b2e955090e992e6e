"""What the library says of its parameters, a command says of its options."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine import Gallery
from engine.cli.app import app
from engine.cli.shell.wording import in_options
from engine.errors import GalleryError, OutputError, PhotographsError

OPTIONS = {"overwrite": "--overwrite", "on_match": "--on-match", "wait": "--wait", "mend": "--repair", "faces": "--faces"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("pass overwrite=True to replace it", "pass --overwrite to replace it"),
        ("on_match='refuse': no", "--on-match refuse: no"),
        ("try again, or wait=60 for longer", "try again, or --wait 60 for longer"),
        ("say on_match=...", "say --on-match"),
        ("mend=True", "--repair"),
        ("faces=''", "--faces ''"),
        ("(in Python: g.embedder(faces=..., wait=2))", "(in Python: g.embedder(faces=..., wait=2))"),
        ("a folder identity=kian and K=59 and replicas=2", "a folder identity=kian and K=59 and replicas=2"),
        ("http://h/?wait=1 and x.wait=2 and --wait=3", "http://h/?wait=1 and x.wait=2 and --wait=3"),
    ],
)
def test_parameters_become_options(said: str, expected: str) -> None:
    assert in_options(said, OPTIONS) == expected


@pytest.mark.parametrize("name", ["x" * 1_000_000, "a=" * 300_000, "x(" * 300_000, "wait='" * 300_000])
def test_however_long_a_name_is_a_message_is_read_once(name: str) -> None:
    assert in_options(f"{name} is nobody", OPTIONS).endswith("is nobody")


def test_the_library_and_the_command_line_each_speak_their_own_words(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 8))
    gallery = Gallery.build(vectors, ["a", "b", "c", "d"], tmp_path / "g")
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    calls = [
        (
            lambda: Gallery.build(vectors, ["a"] * 4, tmp_path / "g"),
            OutputError,
            "overwrite=True",
            "--overwrite",
            f"build-index {tmp_path / 'v.npy'} --names {tmp_path / 'names.txt'} -o {tmp_path / 'g'}",
        ),
        (lambda: gallery.rename("a", "b"), GalleryError, "merge=True", "--merge", f"rename a b -g {tmp_path / 'g'}"),
        (
            lambda: gallery.identify(vectors),
            GalleryError,
            "threshold=...",
            "--threshold",
            f"identify {tmp_path / 'v.npy'} -g {tmp_path / 'g'}",
        ),
        (
            lambda: gallery.enroll(vectors, ["x"] * 4, on_match="so"),
            GalleryError,
            "on_match='so'",
            "--on-match so",
            f"enroll {tmp_path / 'v.npy'} --names {tmp_path / 'names.txt'} -g {tmp_path / 'g'} --on-match so",
        ),
        (
            lambda: gallery.verify("p.jpg", "a", faces="all"),
            PhotographsError,
            "faces='all'",
            "--faces all",
            f"verify p.jpg a -g {tmp_path / 'g'} --faces all",
        ),
    ]
    for call, error, library, command, line in calls:
        with pytest.raises(error) as raised:
            call()
        assert library in str(raised.value)
        assert command not in str(raised.value)
        answer = CliRunner().invoke(app, line.split())
        assert isinstance(answer.exception, error), (line, answer.output, answer.exception)
        assert command in str(answer.exception)
        assert library not in str(answer.exception)


def test_no_message_of_the_library_speaks_of_options_of_a_call() -> None:
    """Of the rooms that `Gallery`, `Templates` and `embed_images` call: a parameter's name stands there, never the option's."""
    root = Path(__file__).parents[3] / "engine"
    files = [
        file
        for room in ("answers", "gallery", "storage", "matching", "encoders", "templates")
        for file in (root / room).rglob("*.py")
    ]
    option = re.compile(r"(?<!onek check )(?<![\w-])--[a-z][a-z-]+(?=[ ;:,)\"'])")
    said = {(file.name, found[0]) for file in files for found in option.finditer(file.read_text(encoding="utf-8"))}
    # Reasons in problems files, a warning, and the card of an encoder, which commands show.
    told = {"gate.py", "parquet.py", "named_by_user.py", "network.py"}
    assert {each for each in said if each[0] not in told} == set()
