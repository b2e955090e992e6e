"""Training that tells how far it is: its steps, and that what it makes is what one call of FAISS's makes."""

import numpy as np
import pytest

from indexes.approximate.flat_codes import FlatCodes
from indexes.approximate.ivf import Ivf
from indexes.approximate.ivf_sq8 import IvfSq8
from indexes.approximate.stepwise import train
from indexes.approximate.two_stage import TrainedIndex
from indexes.stored.plain import taken
from tests.indexes.vectors import cone

COUNT = 3000


@pytest.mark.usefixtures("one_thread")  # as codes are always learnt: two threads would round otherwise
@pytest.mark.parametrize("kind", [FlatCodes, Ivf, IvfSq8])
def test_steps_train_what_one_call_trains(kind: type[TrainedIndex]) -> None:
    sample = cone(COUNT, 24, 0)
    at_once, stepwise = kind._untrained(sample, COUNT), kind._untrained(sample, COUNT)
    at_once.train(sample)
    told: list[tuple[str, int, int]] = []
    train(stepwise, sample, lambda *said: told.append(said))
    steps = 1 if kind is FlatCodes else 11
    assert told == [("training", done, steps) for done in range(1, steps + 1)]
    for index in (at_once, stepwise):
        index.add(sample)
    (layout, arrays), (other, others) = taken(at_once), taken(stepwise)
    assert layout == other
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], name)


def test_each_stage_of_a_build_moves() -> None:
    told: list[tuple[str, int, int]] = []
    Ivf.build(cone(COUNT, 24, 0), lambda *said: told.append(said))
    for stage in ("training", "adding"):
        done = [said[1] for said in told if said[0] == stage]
        assert done == sorted(done)
        assert done[-1] == [said[2] for said in told if said[0] == stage][-1]
    assert next(said for said in told if said[0] == "training") == ("training", 0, 1)
