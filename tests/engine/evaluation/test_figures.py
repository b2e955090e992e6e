"""Figures of searches, against `engine.metrics` and by hand."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import MetricsError
from engine.evaluation.compare import mistakes
from engine.evaluation.figures import Figure, at_sizes
from engine.evaluation.groups import gini
from engine.evaluation.intervals import Resampling
from engine.evaluation.raw import PAIRS, is_searches, read_searches
from engine.evaluation.truth import DemographicGroups
from engine.metrics import Searches, fnir, fpir, measure
from engine.reports.evaluation.evaluated import Evaluation, evaluate
from tests.support.searches import drawn, searches, together, written


def told(evaluation: Evaluation, name: str, **wanted: object) -> Figure:
    found = evaluation.figure(name, **wanted)  # type: ignore[arg-type]
    assert found is not None, name
    return found


def test_rates_are_those_of_the_metrics() -> None:
    searched = drawn()
    made = evaluate(searched, PAIRS.empty_table())
    mated = searched.mated
    by_hand = Searches(searched.ranks[mated], searched.scores[mated], searched.scores[~mated])
    for name in ("rank1", "fnir@fpir=0.1", "fnir@fpir=0.03"):
        figure = told(made, name)
        assert figure.value == pytest.approx(measure(name, by_hand), abs=1e-12)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.value is not None
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
    obtained = told(made, "fpir@asked=0.01")
    assert obtained.value == pytest.approx(fpir(searched.scores[~mated], 0.5))
    assert told(made, "fnir@asked=0.01").value == pytest.approx(fnir(by_hand.ranks, by_hand.mated, 0.5))
    assert (obtained.searches, obtained.people) == (800, 400)
    rare = told(made, "fnir@fpir=0.001")
    assert (rare.value, rare.reason) == (None, "400 strangers are too few for 0.1 %; 10,000 would do")


def test_rates_by_hand() -> None:
    """40 people, a search each: 30 right within 0.5, 4 right beyond, 4 wrong, 2 without a template; 40 strangers, 4 within."""
    ranks = [1] * 34 + [2] * 4 + [0] * 2 + [0] * 40
    scores = [0.3] * 30 + [0.6] * 4 + [0.4] * 4 + [0.0] * 2 + [0.45] * 4 + [0.9] * 36
    failed = [False] * 38 + [True] * 2 + [False] * 40
    searched = searches([True] * 40 + [False] * 40, ranks, scores, [f"i{at}" for at in range(80)], failed=failed)
    made = evaluate(searched, PAIRS.empty_table(), asked=0.1)
    assert told(made, "rank1").value == pytest.approx(34 / 40)
    assert told(made, "fnir@asked=0.1").value == pytest.approx(10 / 40)  # a failure misses
    assert told(made, "fpir@asked=0.1").value == pytest.approx(4 / 40)
    assert told(made, "failures").value == pytest.approx(2 / 80)
    curve = next(curve for curve in made.curves if curve.name == "cmc")
    assert curve.y.tolist() == pytest.approx([34 / 40, 38 / 40])
    kinds = [(each.kind, each.identity) for each in made.worst]
    assert kinds.count(("false alarm", "i40")) == 1
    assert sum(kind == "miss" for kind, _ in kinds) == 8
    assert told(made, "told@0.1").reason == "nothing was told: the gallery knows nothing of strangers"


def test_a_rate_that_galleries_have_no_threshold_for_says_why() -> None:
    searched = drawn()
    trial = searched.about.trials[0]
    trial.thresholds.pop("0.001")
    trial.refused["0.001"] = "half a search supports it"
    made = evaluate(searched, PAIRS.empty_table())
    assert told(made, "fpir@asked=0.001").reason == "half a search supports it"


def test_what_was_told_is_held_against_what_happened() -> None:
    made = evaluate(drawn(people=800), PAIRS.empty_table())
    figure = told(made, "told@0.1")
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 1 - np.exp(-0.1) < figure.high


def test_searches_are_a_file_that_reads_back(tmp_path: Path) -> None:
    searched = together(drawn(k=100), drawn(k=200))
    path = written(searched, tmp_path / "raw")
    assert is_searches(path)
    back = read_searches(path)
    assert back.about == searched.about
    assert np.array_equal(back.scores, searched.scores)
    assert np.array_equal(back.people, searched.people)
    assert evaluate(back, PAIRS.empty_table()).figures == evaluate(searched, PAIRS.empty_table()).figures
    path.write_bytes(path.read_bytes()[:-100])
    assert not is_searches(path)
    with pytest.raises(MetricsError, match="cannot be read as searches"):
        read_searches(path)


def test_two_systems_are_paired() -> None:
    better, worse = drawn(system="a"), drawn(system="b", shift=0.12)
    made = evaluate(together(better, worse), PAIRS.empty_table(), asked=0.1)
    figure = told(made, "difference:fnir@fpir=0.1", group="b - a")
    one, other = told(made, "fnir@fpir=0.1", system="a"), told(made, "fnir@fpir=0.1", system="b")
    assert figure.value == pytest.approx((other.value or 0) - (one.value or 0))
    assert figure.low is not None
    assert figure.low > 0
    # The same strangers with the same scores: where both are wrong, they are wrong together.
    alarms = next(each for each in made.mistakes if each.kind == "false alarms")
    assert (alarms.only_one, alarms.only_other) == (0, 0)
    assert alarms.both + alarms.neither == 800


def test_mistakes_by_hand() -> None:
    ids = [f"i{at}" for at in range(4)]
    one = searches([True, True, True, False], [1, 1, 2, 0], [0.1, 0.1, 0.1, 0.9], ids, system="a")
    other = searches([True, True, True, False], [1, 2, 1, 0], [0.1, 0.1, 0.1, 0.9], ids, system="b")
    whole = together(one, other)
    parts = list(at_sizes(whole, Resampling(whole.people, 10)))
    counted = mistakes(parts[0], parts[1], whole.texts("probe")[0], 0.5)
    assert [(each.kind, each.both, each.only_one, each.only_other, each.neither) for each in counted] == [
        ("misses", 0, 1, 1, 1),
        ("false alarms", 0, 0, 0, 1),
    ]


def test_gini_by_hand() -> None:
    assert gini(np.array([0.2, 0.2, 0.2])) == pytest.approx(0)
    assert gini(np.array([0.3, 0.0, 0.0])) == pytest.approx(1)  # one group has all of it
    # Two groups, 1 % and 3 %: 2/1 * (2 * 0.02) / (2 * 4 * 0.02) = 0.5.
    assert gini(np.array([0.01, 0.03])) == pytest.approx(0.5)
    assert gini(np.array([[0.01, 0.03], [0.02, 0.02]])).tolist() == pytest.approx([0.5, 0])


def test_groups_differ_are_refused_when_small_and_say_who_is_taken_for_whom() -> None:
    searched = drawn(people=300, each=1)
    sites = {f"p{at}": "north" if at % 2 else "south" for at in range(300)}
    sites |= {f"s{at}": "tiny" if at < 5 else "north" if at % 2 else "south" for at in range(300)}
    made = evaluate(searched, PAIRS.empty_table(), asked=0.1, groups=DemographicGroups("identity", {"site": sites}))
    strangers = [at for at in range(300, 600) if at >= 305 and (at - 300) % 2]
    by_hand = np.mean(searched.scores[strangers] <= 0.5)
    assert told(made, "fpir@asked=0.1", group="site=north").value == pytest.approx(by_hand)
    small = told(made, "fpir@asked=0.1", group="site=tiny")
    assert (small.value, small.reason) == (None, "site=tiny: 5 strangers are searched for; 30 would do")
    rates = [told(made, "fpir@asked=0.1", group=f"site={name}").value or 0 for name in ("north", "south")]
    assert told(made, "fpir.gini@asked=0.1", group="site").value == pytest.approx(float(gini(np.array(rates))))
    # Stranger s(at) is taken for p(at), who is of the same site.
    assert told(made, "taken@asked=0.1", group="site=north > north").value == pytest.approx(by_hand)
    assert told(made, "taken@asked=0.1", group="site=north > south").value == 0
