import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine import group_templates
from engine.errors import GroupingError
from engine.grouping.corrections import name_group, part_faces
from engine.grouping.groups import Groups
from engine.grouping.groups_file import is_groups_file, read_groups, write_groups
from engine.templates.parquet import TemplateWriter
from tests.support.unnamed_faces import SFACE, faces_of


@pytest.fixture(scope="module")
def groups() -> Groups:
    return part_faces(name_group(group_templates(faces_of([3, 2, 1])), 1, "=Anna"), "p000/0#0", "p001/0#0")


def test_a_file_reads_back_to_the_bit(groups: Groups, tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, groups)
    read = read_groups(path)
    assert is_groups_file(path)
    assert read.table.equals(groups.table)
    assert (read.provenance, read.apart, read.last, read.same_photo) == (SFACE, groups.apart, groups.last, False)
    assert read.cut.height == groups.cut.height
    for name in ("mean", "heights", "chances"):
        assert np.array_equal(getattr(read.cut, name), getattr(groups.cut, name))
    write_groups(path, read)
    assert read_groups(path).table.equals(groups.table)


def test_no_faces_make_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    faces = faces_of([1])
    write_groups(path, group_templates(type(faces)(faces.table.slice(0, 0), SFACE)))
    assert len(read_groups(path)) == 0


def test_a_template_file_is_no_groups_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with TemplateWriter(path, SFACE) as writer:
        writer.write(faces_of([1]).table.to_batches()[0])
    assert not is_groups_file(path)
    with pytest.raises(GroupingError, match="holds no groups"):
        read_groups(path)
    with pytest.raises(GroupingError, match="no such groups file"):
        read_groups(tmp_path / "nothing.parquet")


def forged(groups: Groups, path: Path, **values: Any) -> Path:
    write_groups(path, groups)
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    said = json.loads(metadata[b"onek.groups"])
    for name, value in values.items():
        if name in said["plain"]:
            said["plain"][name] = value
        else:
            said[name] = value
    pq.write_table(table.replace_schema_metadata({**metadata, b"onek.groups": json.dumps(said).encode()}), path)
    return path


@pytest.mark.parametrize(
    "values",
    [
        {"format": 2},
        {"height": "high"},
        {"height": float("nan")},
        {"rule": "whim"},
        {"mean": [0.0]},
        {"mean": [float("inf")] * 128},
        {"heights": [1.0, 0.5], "chances": [0, 0]},
        {"chances": [0.5]},
        {"last": 0},
        {"apart": [["one"]]},
        {"apart": 5},
        {"plain": []},
    ],
)
def test_a_forged_rule_is_refused_in_one_line(groups: Groups, tmp_path: Path, values: dict[str, Any]) -> None:
    path = forged(groups, tmp_path / "g.parquet", **values)
    with pytest.raises(GroupingError) as refused:
        read_groups(path)
    assert "\n" not in str(refused.value)
    assert "g.parquet" in str(refused.value)


def test_forged_rows_are_refused(groups: Groups, tmp_path: Path) -> None:
    path = tmp_path / "g.parquet"
    write_groups(path, groups)
    table = pq.read_table(path)
    twice = pa.concat_tables([table, table.slice(0, 1)])
    negative = table.set_column(table.schema.get_field_index("group"), "group", pa.array([-1] * len(table), pa.int32()))
    short = table.drop_columns(["note"])
    long = table.set_column(
        table.schema.get_field_index("vector"),
        table.schema.field("vector"),
        pa.FixedSizeListArray.from_arrays(pa.array(np.full(128 * len(table), 1, np.float32)), 128),
    )
    for forgery in (twice, negative, short, long):
        pq.write_table(forgery.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(GroupingError, match="no groups can be read of it"):
            read_groups(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(GroupingError):
        read_groups(path)
