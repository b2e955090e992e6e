from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import FormerFile, TemplatesError
from engine.faces.chip import ALIGNMENT
from engine.templates.model import Templates, schema
from engine.templates.parquet import read_templates
from engine.templates.provenance import Provenance
from engine.templates.quality.gate import check_least, refused, why_refused
from engine.templates.quality.refusal import of_templates
from engine.templates.quality.scale import log_odds, scale, scale_of, share_of
from tests.support.qualities import worth

SFACE = Provenance("sface", "f" * 64, 16, False, ALIGNMENT)


@pytest.mark.parametrize("flip", [False, True])
def test_a_quality_is_the_share_of_photographs_that_are_worse(flip: bool) -> None:
    found = scale("sface", flip=flip, alignment=ALIGNMENT)
    assert found is not None
    assert found.quality_of(np.array(found.confidences)) == pytest.approx(found.shares, rel=1e-5)
    # Rising everywhere, beyond what was measured too, and never 0 or 1.
    rising = found.quality_of(np.linspace(0, 30, 301))
    assert (np.diff(rising) >= 0).all()
    assert (np.diff(rising[:150]) > 0).all()
    assert 0 < rising[0] < 1e-9
    assert 0.99999 < rising[-1] < 1
    assert np.isnan(found.quality_of(np.array([np.nan]))).all()


def test_log_odds() -> None:
    assert log_odds(np.array([0.5, 0.1, 0.9])) == pytest.approx([0, -np.log(9), np.log(9)])
    shares = np.array([1e-12, 1e-6, 0.2, 0.5, 0.97], np.float32)
    np.testing.assert_allclose(share_of(log_odds(shares)), shares, rtol=1e-5)
    assert np.isnan(log_odds(np.array([np.nan])))[0]


def test_only_what_was_measured_has_a_scale() -> None:
    assert scale_of(SFACE) is not None
    assert scale_of(Provenance("sface", "f" * 64, 16, False, "whole picture, v1")) is None
    assert scale_of(Provenance("dlib-resnet", "f" * 64, 16, True, ALIGNMENT)) is None
    assert scale_of(Provenance.foreign(16)) is None


def test_the_gate() -> None:
    assert refused(np.array([0.0005, 0.001, 0.2, np.nan], np.float32), 0.001).tolist() == [True, False, False, False]
    assert not refused(np.array([0.0, 1e-20], np.float32), 0).any()
    assert why_refused(0.0005, "dark", 0.001) == "quality 0.05 %, below the gate (--quality 0.1 %): dark"
    assert why_refused(1e-9, None, 0.001) == "quality under 0.001 %, below the gate (--quality 0.1 %)"
    for wrong in (-0.1, 1, 3, float("nan")):
        with pytest.raises(TemplatesError, match="expected a share"):
            check_least(wrong)


def test_templates_below_the_gate_are_problems(random_templates: Callable[..., Templates]) -> None:
    templates = worth(random_templates(2, 2), [0.5, 0.0001, None, 1e-8], [None, "blurred, dark", None, None])
    kept, problems = of_templates(templates, 0.001)
    assert kept.table["template_id"].to_pylist() == ["t0", "t2"]
    assert [(each.source, each.reason.split(",")[0]) for each in problems] == [
        ("t1", "quality 0.01 %"),
        ("t3", "quality under 0.001 %"),
    ]
    assert problems[0].reason.endswith(": blurred, dark")
    assert of_templates(templates, 0) == (templates, ())


def test_a_file_of_the_former_format_is_read_and_says_what_it_lacks(
    tmp_path: Path, random_templates: Callable[..., Templates]
) -> None:
    """Its `quality` was the detector's confidence."""
    now = worth(Templates(random_templates(3, 1).table.cast(schema(SFACE)), SFACE), [0.9, 0.8, None])
    metadata = {**SFACE.to_metadata(), "onek.format": "1"}
    pq.write_table(now.table.drop_columns(["detection", "reasons"]).replace_schema_metadata(metadata), tmp_path / "old.parquet")
    with pytest.warns(FormerFile, match="embed the photographs anew"):
        old = read_templates(tmp_path / "old.parquet")
    assert old.table.schema.equals(schema(SFACE))
    assert old.table["detection"].to_pylist() == pytest.approx([0.9, 0.8, None])
    assert old.table["quality"].null_count == 3
    np.testing.assert_array_equal(old.vectors, now.vectors)


def test_a_file_says_what_its_templates_are_worth(tmp_path: Path, random_templates: Callable[..., Templates]) -> None:
    made = Templates(random_templates(2, 1).table.cast(schema(SFACE)), SFACE)
    pq.write_table(worth(made, [0.25, None], ["turned", None]).table, tmp_path / "t.parquet")
    found = read_templates(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found.qualities, np.array([0.25, np.nan], np.float32))
    assert found.table["reasons"] == pa.chunked_array([["turned", None]])
