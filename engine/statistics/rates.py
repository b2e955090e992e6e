"""Rates, such as a false-alarm rate: numbers above 0 and below 1, checked, read from text and formatted."""

import math

from engine.errors import GalleryError, require_number


def check_rate(name: str, rate: float) -> None:
    """Raise `GalleryError` unless `rate` is above 0 and below 1: a false-alarm rate of 1 would accept everybody.

    Raises:
        WrongType: it is no number.
    """
    require_number(name, rate)
    if not 0 < float(rate) < 1:
        raise GalleryError(f"{name} is {rate!r}; expected a rate above 0 and below 1, such as 0.01")


def read_rate(text: str) -> float:
    """`1%`, `1 %` or `0.01` as a number. Raises `GalleryError` where it is no rate."""
    number, percent, rest = text.strip().partition("%")
    try:
        rate = float(number) / (100 if percent else 1)
    except ValueError:
        rate = math.nan
    if rest or not 0 < rate < 1:
        raise GalleryError(f"the rate {text!r} was asked for; expected one above 0 and below 1, such as 0.01 or 1%")
    return rate


def read_share(text: str | float) -> float:
    """As `read_rate`, and 0. Raises `GalleryError` where it is no share."""
    return 0.0 if str(text).strip().rstrip("% ") in ("0", "0.0") else read_rate(str(text))


def at_least(rate: float) -> str:
    """The smallest rate that is supported, in two digits and rounded up, so that the number shown is accepted when asked for."""
    digits = 1 - math.floor(math.log10(rate))
    return f"{math.ceil(round(rate * 10**digits, 6)) / 10**digits:g}"


def percent(rate: float) -> str:
    """A rate in two digits: 0.01 is 1 %."""
    return f"{100 * rate:.2g} %" if rate < 0.995 else "all"
