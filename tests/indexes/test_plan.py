import re
from pathlib import Path

import pytest

from indexes.errors import IndexUnsupported, PlanError
from indexes.planner import check_disk, least_memory, needed_memory, plan

GIB = 1 << 30


@pytest.mark.parametrize(
    ("count", "memory", "recall", "kind"),
    [
        (10, 16 * GIB, 0.998, "flat"),
        (20_000, 16 * GIB, 0.998, "flat"),
        (80_000, 16 * GIB, 0.998, "flat-codes"),
        (1_000_000, 16 * GIB, 0.998, "ivf"),
        (10_000_000, 6 * GIB, 0.998, "ivf-sq8"),
        (1_000_000, 16 * GIB, 1.0, "flat"),
    ],
)
def test_the_kind_follows_count_memory_and_recall(count: int, memory: int, recall: float, kind: str) -> None:
    made = plan(count, 128, memory=memory, recall=recall)
    assert made.kind == kind
    assert made.why
    assert 0 < made.memory <= memory
    assert made.recall == (1.0 if kind == "flat" else recall)
    assert made.disk >= count * 128 * 8


def test_what_was_asked_for_overrules() -> None:
    assert plan(100, 128, kind="flat-codes").kind == "flat-codes"
    made = plan(1_000_000, 128, memory=8 * GIB, factory="IVF64,SQ8")
    assert (made.kind, made.factory) == ("factory", "IVF64,SQ8")


def test_more_takes_longer_and_more_room() -> None:
    small, large = plan(200_000, 128, memory=64 * GIB), plan(2_000_000, 128, memory=64 * GIB)
    assert small.seconds < large.seconds
    assert small.memory < large.memory
    assert 9 < large.disk / small.disk < 11


def test_too_little_memory_names_the_least_that_would_do() -> None:
    with pytest.raises(PlanError, match=r"--memory gives 1 MiB\. The least that would do is --memory ") as caught:
        plan(1_000_000, 128, memory=1 << 20)
    assert re.search(r"1,000,000 vectors of 128 dimensions need \S+ \S+ in an ivf-sq8 index", str(caught.value))
    for count in (10, 600, 3000, 60_000, 1_000_000):
        with pytest.raises(PlanError) as caught:
            plan(count, 128, memory=1000)
        would_do = int(str(caught.value).split("--memory ")[-1].removesuffix("MiB")) << 20
        assert plan(count, 128, memory=would_do).memory <= would_do
    least = least_memory(1_000_000, 128)
    assert plan(1_000_000, 128, memory=least, kind="flat-codes").memory == needed_memory("flat-codes", 1_000_000, 128) == least


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"recall": 0.0}, PlanError, "above 0, to 1"),
        ({"recall": 1.1}, PlanError, "recall of 1.1"),
        ({"kind": "magic"}, IndexUnsupported, "--index magic: found no such kind, expected flat, flat-codes, ivf, ivf-sq8"),
        ({"kind": "factory"}, IndexUnsupported, "--factory with a FAISS string"),
        ({"factory": "Nonsense"}, IndexUnsupported, "'Nonsense' is no FAISS string for 128 dimensions"),
        ({"kind": "flat", "factory": "Flat"}, IndexUnsupported, "were both given"),
    ],
)
def test_what_cannot_be_planned(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        plan(1000, 128, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [{"kind": "ivf"}, {"kind": "ivf-sq8"}, {"kind": "flat-codes"}, {"factory": "HNSW8"}])
def test_only_an_exact_search_promises_all(asked: dict[str, str]) -> None:
    with pytest.raises(PlanError, match=r"a recall of 1 and .* was asked for: only an exact search promises it"):
        plan(100_000, 32, recall=1, **asked)  # type: ignore[arg-type]
    assert plan(100_000, 32, recall=1, kind="flat").recall == 1


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    made = plan(10**13, 128, memory=10**18, kind="flat")
    with pytest.raises(PlanError, match="are free, the gallery needs about 9\\."):
        check_disk(made, tmp_path)
