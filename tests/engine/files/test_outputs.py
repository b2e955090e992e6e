"""What is written is never what is read, and replaces nothing that nobody said may go: for every command, before any work."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import OutputError
from engine.files.outputs import check_outputs
from engine.gallery.gallery import Gallery
from engine.maintenance.backup import backup
from engine.templates.model import Templates


def test_an_input_by_any_name(tmp_path: Path) -> None:
    read, out = tmp_path / "w.parquet", tmp_path / "out.parquet"
    read.write_bytes(b"probes")
    (tmp_path / "folder").mkdir()
    (tmp_path / "by-symlink.parquet").symlink_to("w.parquet")
    os.link(read, tmp_path / "by-link.parquet")
    (tmp_path / "away").symlink_to(tmp_path)
    check_outputs(out, [read], overwrite=True)
    for name in ("w.parquet", "folder/../w.parquet", "by-symlink.parquet", "by-link.parquet", "away/w.parquet"):
        with pytest.raises(OutputError, match="is read, so it cannot be the output as well"):
            check_outputs(tmp_path / name, [out, read], overwrite=True)
    # What is read may not be there yet, or may be a link that leads nowhere: names decide.
    (tmp_path / "to-come.parquet").symlink_to("out.parquet")
    with pytest.raises(OutputError, match=r"to-come\.parquet is read|is read, so"):
        check_outputs(tmp_path / "to-come.parquet", [out], overwrite=True)
    with pytest.raises(OutputError, match=r"holds .*w\.parquet, which is read"):
        check_outputs(tmp_path, [read], overwrite=True)
    with pytest.raises(OutputError, match=r"s3://b/k is read"):
        check_outputs(Path("s3://b/k"), [Path("s3://b/k")], overwrite=True)


def test_what_goes_with_an_output(tmp_path: Path) -> None:
    out, beside = tmp_path / "r.csv", tmp_path / "r.problems.csv"
    check_outputs(out, [], overwrite=False, besides=[beside])
    beside.write_text("mine")
    with pytest.raises(
        OutputError, match=r"r\.problems\.csv exists already, and one of that name goes with .*r\.csv; .*overwrite=True"
    ):
        check_outputs(out, [], overwrite=False, besides=[beside])
    check_outputs(out, [], overwrite=True, besides=[beside])
    with pytest.raises(OutputError, match="is read"):
        check_outputs(out, [beside], overwrite=True, besides=[beside])


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[np.ndarray, str], Path]) -> Templates:
    """A folder with templates, a gallery, photographs, and lists; the current one."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).normal(size=(30, 16))
    made = Templates.from_vectors(vectors, [f"id{number % 15}" for number in range(30)], [f"t{number}" for number in range(30)])
    pq.write_table(made.table, "t.parquet")
    Gallery.build(made, "g")
    for number in range(2):
        save(np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8), f"photos/{number}.png")
    pq.write_table(pa.table({"path": ["photos/0.png"], "identity": ["kian"]}), "l.parquet")
    Path("l.csv").write_text("path,identity\nphotos/0.png,kian\n")
    Path("link.parquet").symlink_to("t.parquet")
    Path("gallery-by-link").symlink_to("g")
    return made


INPUTS = [
    "embed l.parquet -o l.parquet --encoder pixels --faces none",
    "embed photos --labels l.parquet -o l.parquet --encoder pixels --faces none",
    "identify t.parquet -g g -o t.parquet",
    "identify t.parquet -g g -o link.parquet",
    "identify link.parquet -g g -o t.parquet",
    "identify l.csv -g g -o l.csv",
    "identify t.parquet -g g -o g/segment-000001.parquet",
    "build-index g/segment-000001.parquet -o g",
    "backup g g",
    "backup g gallery-by-link",
    "merge g -o g",
    "merge g -o gallery-by-link",
    "audit g -o g/audit.csv",
    "train-projection t.parquet -o t.parquet",
    "train-head t.parquet link.parquet -o link.parquet",
    "project t.parquet --projection p.npz -o t.parquet",
    "train photos --from mine.keras -o mine.keras",
    "explain photos/0.png -g g -o photos/0.png",
    "explain-encoder photos/0.png -o photos/0.png",
]


@pytest.mark.parametrize("command", INPUTS)
def test_no_command_writes_over_what_it_reads(people: Templates, command: str) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "writer" not in path.name}
    answer = CliRunner().invoke(app, [*command.split(), "--overwrite"])
    assert isinstance(answer.exception, OutputError), answer.exception
    assert "is read" in str(answer.exception) or "would lie in the gallery" in str(answer.exception)
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and "writer" not in path.name}
    assert {path: data for path, data in after.items() if "catalogue" not in path.name} == {
        path: data for path, data in before.items() if "catalogue" not in path.name
    }


BESIDES = [
    ("embed photos -o visitors.parquet --encoder pixels --faces none", "visitors.problems.csv"),
    ("identify t.parquet -g g -o visitors.csv", "visitors.problems.csv"),
    ("train photos -o mine.keras", "mine.json"),
    ("train photos -o mine.keras", "mine.epochs.csv"),
    ("train photos -o mine.keras", "mine.problems.csv"),
]


@pytest.mark.parametrize(("command", "name"), BESIDES)
def test_reports_of_others_are_kept(people: Templates, command: str, name: str) -> None:
    Path(name).write_text("what somebody else found")
    answer = CliRunner().invoke(app, command.split())
    assert isinstance(answer.exception, OutputError)
    assert f"{name} exists already" in str(answer.exception)
    assert Path(name).read_text() == "what somebody else found"
    assert not Path(command.split(" -o ")[1].split()[0]).exists()


def test_embed_then_identify_of_the_same_name(people: Templates) -> None:
    Path("photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    embed, identify = BESIDES[0][0], BESIDES[1][0].replace("t.parquet", "visitors.parquet")
    assert CliRunner().invoke(app, [*embed.split(), "--labels", "none"]).exit_code == 3
    kept = Path("visitors.problems.csv").read_text()
    assert "broken.png" in kept
    answer = CliRunner().invoke(app, identify.split())
    assert "visitors.problems.csv exists already" in str(answer.exception)
    assert Path("visitors.problems.csv").read_text() == kept


def test_the_library_refuses_too(people: Templates) -> None:
    with pytest.raises(OutputError, match="holds .*segment-000001.parquet, which is read"):
        Gallery.build(["g/segment-000001.parquet"], "g", overwrite=True)
    with pytest.raises(OutputError, match="is read"):
        backup(Path("g"), Path("gallery-by-link"), overwrite=True)
    with pytest.raises(OutputError, match="is read"):
        Gallery.merge(["g"], "g", overwrite=True)


def test_only_the_owner_reads_what_is_written(people: Templates) -> None:
    run = CliRunner().invoke
    for command in (
        "embed photos -o e.parquet --encoder pixels --faces none",
        "identify t.parquet -g g -o r.csv --threshold 0.5",
        "identify t.parquet -g g -o r.parquet --threshold 0.5 --overwrite",
        "identify t.parquet -g g -o r.jsonl --threshold 0.5 --overwrite",
        "audit g -o audit.csv",
        "train-projection t.parquet -o p.npz",
        "train-head t.parquet -o h.npz",
        "project t.parquet --projection p.npz -o u.parquet",
        "backup g copy",
    ):
        before = set(Path().rglob("*"))
        answer = run(app, command.split())
        assert answer.exit_code == 0, (command, answer.output, answer.exception)
        for path in set(Path().rglob("*")) - before:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
