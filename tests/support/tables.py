"""Tables that say the same: every word to the letter, every number to 1e-5."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv


def assert_same_tables(one: pa.Table, two: pa.Table) -> None:
    """Vectors and distances may differ in their last digits: linear algebra sums in the order of its threads."""
    assert one.schema.equals(two.schema)
    assert len(one) == len(two)
    for number, (left, right) in enumerate(zip(one.to_pylist(), two.to_pylist(), strict=True)):
        assert _same(left, right), (number, left, right)


def read_results(path: Any) -> pa.Table:
    """A CSV file of results, its candidates as text."""
    return csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) <= 1e-5 * max(1, abs(left))
    if isinstance(left, str) and left.startswith("[{"):
        return _same(json.loads(left), json.loads(right))
    return bool(left == right)
