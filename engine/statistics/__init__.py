"""Rates, and the distribution of scores estimated from a sample. Nothing here knows of galleries or faces."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.statistics.rates import check_rate, percent, read_rate
    from engine.statistics.score_tail import Interval, ScoreTail, tail_of

__all__ = ["Interval", "ScoreTail", "check_rate", "percent", "read_rate", "tail_of"]

__getattr__ = late_names(
    __name__,
    {
        "engine.statistics.rates": ("check_rate", "percent", "read_rate"),
        "engine.statistics.score_tail": ("Interval", "ScoreTail", "tail_of"),
    },
)
