"""What is set in files and variables: in which order, what it may be, and what a file of somebody else's may not do."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from engine import Gallery
from engine.cli.app import app
from engine.cli.shell.settings import NAME, SETTINGS, users_file, variable_of
from engine.errors import ListError

VECTORS = np.random.default_rng(0).normal(size=(60, 16))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two galleries and probes."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("g", "other"):
        called = "id" if name == "g" else name
        Gallery.build(VECTORS, [f"{called}{row}" for row in range(60)], folder / name).close()
    np.save(folder / "p.npy", VECTORS[:2])
    return folder


@pytest.fixture
def here(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where nothing is set."""
    shutil.copytree(built, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in SETTINGS:
        monkeypatch.delenv(variable_of(name), raising=False)
    return tmp_path / "work"


def users(text: str) -> None:
    users_file().parent.mkdir(parents=True, exist_ok=True)
    users_file().write_text(text)


def say(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


def identified(*words: object) -> tuple[dict[str, object], str]:
    answer = say("identify", "p.npy", *words, "--json")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return json.loads(answer.stdout), answer.stderr


def first(told: dict[str, object]) -> str:
    rows: list[dict[str, str]] = told["results"]  # type: ignore[assignment]
    return rows[0]["identity"]


def test_every_setting_is_an_option_of_its_commands() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, setting in SETTINGS.items():
        for command in setting.commands:
            assert f"--{name}" in [each for taken in commands[command].params for each in taken.opts], (name, command)
        assert set(setting.in_folder) <= set(setting.commands)
        assert not set(setting.in_folder) & {"enroll", "remove", "rename", "erase", "compact", "build-index", "train"}


def test_the_later_beats_the_earlier(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users('gallery = "nowhere"\ntop = 4\n')
    Path(NAME).write_text('gallery = "g"\ntop = 3\n')
    told, said = identified()
    assert first(told) == "id0"
    assert len(told["results"][0]["candidates"]) == 3  # type: ignore[index]
    assert f"--gallery g, as {NAME} says" in said
    monkeypatch.setenv("ONEK_GALLERY", "other")
    monkeypatch.setenv("ONEK_TOP", "2")
    told, said = identified()
    assert (first(told), len(told["results"][0]["candidates"])) == ("other0", 2)  # type: ignore[index]
    assert "--gallery other, as ONEK_GALLERY says" in said
    told, said = identified("--gallery", "g", "--top", "1")
    assert (first(told), len(told["results"][0]["candidates"])) == ("id0", 1)  # type: ignore[index]
    assert "says" not in said


def test_a_rate_of_the_users_own_is_used_and_said(here: Path) -> None:
    users('fpir = "5%"\non_match = "ignore"\n')
    told, said = identified("-g", "g")
    assert told["threshold"]["fpir"] == 0.05  # type: ignore[index]
    assert f"--fpir 5%, as {users_file()} says" in said
    assert "on-match" not in said
    np.save("new.npy", VECTORS[:1] + 1)
    Path("names.txt").write_text("nora\n")
    assert f"--on-match ignore, as {users_file()} says" in say("enroll", "new.npy", "--names", "names.txt", "-g", "g").stderr


@pytest.mark.parametrize(
    "line",
    [
        "fpir = 0.5",
        "fmr = 0.5",
        "quality = 0",
        "encoder = 'evil.onnx'",
        "runtime = 'openvino'",
        "on-match = 'ignore'",
        "threads = 100000",
        "wait = 1e9",
        "out = 'elsewhere.csv'",
        "overwrite = true",
        "gallery = '/etc'",
        "gallery = '../g'",
        "gallery = 'milvus://evil.example:1/g'",
        "gallery = 's3://evil/g'",
        "gallery = '--overwrite'",
        "labels = 'lies.csv'",
        "faces = 'x'",
        "top = [1]",
        "top = true",
        "not toml",
        "a = " + "[" * 5000,
    ],
)
def test_a_folders_file_runs_writes_and_loosens_nothing(here: Path, line: str) -> None:
    Path(NAME).write_text(line)
    before = sorted(here.rglob("*"))
    answer = say("identify", "p.npy", "-g", "g")
    assert isinstance(answer.exception, ListError), answer.output
    assert str(answer.exception).startswith(f"{NAME}: ")
    assert sorted(here.rglob("*")) == before


def test_a_folders_file_names_no_gallery_that_is_changed(here: Path) -> None:
    Path(NAME).write_text('gallery = "g"\n')
    np.save("new.npy", VECTORS[:1] + 1)
    Path("names.txt").write_text("nora\n")
    for words in (("remove", "id0"), ("rename", "id0", "x"), ("enroll", "new.npy", "--names", "names.txt")):
        answer = say(*words)
        assert answer.exit_code == 2
        assert "--gallery" in answer.output
    assert len(Gallery.open("g")) == 60
    assert say("show", "id0").exit_code == 0


def test_a_file_that_others_may_write_is_left_alone_and_said(here: Path, tmp_path: Path) -> None:
    path = Path(NAME)

    def left(reason: str) -> None:
        answer = say("identify", "p.npy", "-g", "g", "--json")
        assert answer.exit_code == 0, (answer.output, answer.exception)
        assert f"{NAME} is left alone: {reason}" in answer.stderr

    path.write_text("top = 1\n")
    path.chmod(0o666)
    left("others may write to it; chmod go-w")
    path.unlink()
    (tmp_path / "elsewhere.toml").write_text("top = 1\n")
    path.symlink_to(tmp_path / "elsewhere.toml")
    left("")
    path.unlink()
    os.mkfifo(path)
    left("it is no file")
    path.unlink()
    path.mkdir()
    left("it is no file")
    path.rmdir()
    path.write_text("#" * 100_000)
    left("it has more than 64 KiB")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_another_users_file_is_left_alone(here: Path) -> None:
    Path(NAME).write_text("top = 1\n")
    os.chown(NAME, 12345, 12345)
    assert f"{NAME} is left alone: it belongs to another user" in say("identify", "p.npy", "-g", "g").stderr


def test_config_shows_what_is_set_and_where(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users('fpir = "2%"\ntop = 4\n')
    Path(NAME).write_text("top = 3\n")
    monkeypatch.setenv("ONEK_WAIT", "60")
    told = json.loads(say("config", "--json").stdout)
    found = {each["name"]: (each["value"], each["where"]) for each in told["settings"]}
    assert list(found) == list(SETTINGS)
    assert {name: each for name, each in found.items() if each[0] is not None} == {
        "fpir": ("2%", str(users_file())),
        "top": ("3", NAME),
        "wait": ("60", "ONEK_WAIT"),
    }
    page = say("config").stdout
    assert "ONEK_GALLERY" in page
    assert f"files: {users_file()}, then {NAME} in this folder" in page


def test_what_there_is_not_is_named(here: Path) -> None:
    users("galery = 'g'\n")
    assert "there is no setting 'galery'; expected gallery, encoder" in str(say("config").exception)
    users("fpir = 'many'\n")
    assert "the rate 'many' was asked for" in str(say("identify", "p.npy", "-g", "g").exception)


def test_commands_without_settings_read_none(here: Path) -> None:
    users("not toml")
    Path(NAME).write_text("not toml")
    assert say("info", "g").exit_code == 0
    assert say("list", "g").exit_code == 0
    assert isinstance(say("identify", "p.npy", "-g", "g").exception, ListError)
    assert say("identify", "--help").exit_code == 0
