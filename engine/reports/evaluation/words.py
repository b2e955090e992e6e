"""An evaluation in words: five lines for readers who read nothing else."""

from engine.evaluation.figures import Figure
from engine.evaluation.raw import System
from engine.reports.evaluation.evaluated import Evaluation

# Where a larger share of images gave no template, the advice is to look at the photographs.
_MANY_FAILURES = 0.02
# Where a larger share of mated searches miss, the advice speaks of it.
_MANY_MISSED = 0.1


def share(value: float) -> str:
    """A rate as text, with more digits for rates near 0 and near 100 %: 0.54 %, 12.3 %, 99.17 %."""
    if value == 0:
        return "0 %"
    digits = 2 if value < 0.1 or value > 0.9 else 1
    return f"{100 * value:.{digits}f} %" if value >= 0.0005 else f"{100 * value:.2g} %"


def asked_for(rate: float) -> str:
    """A rate that somebody chose, in as many digits as he gave: 1 %, 0.3 %."""
    return f"{100 * rate:.6g} %"


def amount(figure: Figure) -> str:
    """A figure's value: a rate, or a number where it is none."""
    if figure.value is None:
        return ""
    number = ".ratio" in figure.name or ".gini" in figure.name or figure.name.startswith("distance")
    return f"{figure.value:.3g}" if number else share(figure.value)


def between(figure: Figure) -> str:
    """Its interval."""
    if figure.low is None or figure.high is None:
        return ""
    number = ".ratio" in figure.name or ".gini" in figure.name or figure.name.startswith("distance")
    low, high = ((f"{each:.3g}" if number else share(each)) for each in (figure.low, figure.high))
    return f"{low.removesuffix(' %') if low.endswith(' %') and high.endswith(' %') else low} to {high}"


def told(figure: Figure | None) -> str:
    """A figure with its interval, or why there is none."""
    if figure is None:
        return "not measured"
    if figure.value is None:
        return f"not told: {figure.reason}"
    within = between(figure)
    return f"{amount(figure)} ({within})" if within else amount(figure)


def answers(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The five lines: how many people, what was asked for, what was obtained, how many are missed, what to change."""
    about, rate = evaluation.about, f"{evaluation.asked:g}"
    alarms, missed = evaluation.figure(f"fpir@asked={rate}"), evaluation.figure(f"fnir@asked={rate}")
    splits = len({trial.split for trial in about.trials})
    lost = (
        f"; {about.failures:,} of {about.images:,} images gave no template, and count as searches that failed"
        if about.failures
        else ""
    )
    who = f"{evaluation.k:,} enrolled of {about.identities:,} people" + (f", in {splits} splits" if splits > 1 else "")
    if missed is not None and missed.value is not None:
        who += f"; {missed.searches:,} mated searches for {missed.people:,} people"
    if alarms is not None and alarms.value is not None:
        who += f", {alarms.searches:,} searches for {alarms.people:,} strangers"
    return [
        ("People", who + lost),
        ("Asked for", f"a name for {asked_for(evaluation.asked)} of strangers' searches at most (FPIR), with {evaluation.main}"),
        ("Obtained", told(alarms) + _judged(alarms, evaluation.asked)),
        ("Missed", told(missed) + (" of mated searches (FNIR)" if missed is not None and missed.value is not None else "")),
        ("What to change", advice(evaluation)),
    ]


def _judged(figure: Figure | None, asked: float) -> str:
    if figure is None or figure.value is None or figure.low is None or figure.high is None:
        return ""
    if figure.low > asked:
        return ", more than was asked for"
    return ", fewer than were asked for" if figure.high < asked else ", which agrees with what was asked for"


def advice(evaluation: Evaluation) -> str:
    """What would help most, by what was measured; each sentence names what it follows from."""
    rate = f"{evaluation.asked:g}"
    alarms, missed = evaluation.figure(f"fpir@asked={rate}"), evaluation.figure(f"fnir@asked={rate}")
    said = []
    if alarms is None or alarms.value is None:
        why = alarms.reason if alarms is not None else "no strangers were searched for"
        said.append(f"Nothing is known of false alarms at this rate ({why}).")
    elif alarms.low is not None and alarms.low > evaluation.asked:
        said.append(
            "More strangers get a name than was asked for: look at the worst false alarms below first, since "
            "people under two names "
            "look so; then calibrate with strangers of your own (onek calibrate GALLERY --strangers), or ask for a lower rate."
        )
    elif alarms.high is not None and alarms.high < evaluation.asked:
        said.append("Fewer strangers get a name than was asked for: a higher --fpir would miss fewer people.")
    failures = evaluation.figure("failures")
    if failures is not None and failures.value is not None and failures.value > _MANY_FAILURES:
        said.append(f"{share(failures.value)} of searches had no template: look at the photographs in the problems file.")
    if missed is not None and missed.value is not None and missed.value > _MANY_MISSED:
        said.append("Many are missed: enrol more photographs of each person, or try another encoder beside this one (two files).")
    better = _better(evaluation)
    if better is not None:
        said.append(better)
    return " ".join(said) or "Nothing that these data show."


def _better(evaluation: Evaluation) -> str | None:
    """The system that misses fewer beyond doubt at the rate asked for."""
    name = f"difference:fnir@fpir={evaluation.asked:g}"
    found = [each for each in evaluation.figures if each.name == name and each.high is not None and each.high < 0]
    best = min(found, key=lambda each: each.value or 0, default=None)
    if best is None or best.value is None:
        return None
    return f"{best.group.partition(' - ')[0]} misses {share(-best.value)} fewer at the same FPIR."


def described(system: System) -> str:
    """A system in a line."""
    encoder, mark = system.encoder or "an encoder that is not named", system.fingerprint[:12] or "unknown"
    return f"{system.name}: {encoder}, {system.dim} dimensions, fingerprint {mark}, {system.score} score"
