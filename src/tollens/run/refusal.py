"""Which instruments may not be believed on this machine: by its certificate, or else by asking them now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from tollens.instrument.registry import Instrument
from tollens.run.answers import answered, instrument_questions
from tollens.run.cache import find
from tollens.run.certificate import Answer, Certificate
from tollens.run.layer import blas_threads
from tollens.run.machine import this_machine

RESTS_ON = {"erg": "tail", "alpha_norms": "tail", "goodness": "tail", "alternatives": "tail", "edge": "bulk",
            "localisation": "bulk"}  # fmt: skip
"""What an instrument takes from another one; besides, those that need a spectrum or a tail rest on that of ours."""
_asked: dict[int, tuple[Instrument, list[Answer]]] = {}  # by identity, which lives as long as the instrument is held


def refusals(used: Sequence[Instrument]) -> dict[str, str]:
    """Why each of the instruments that may not be believed is refused, by name, in the order of `used`.

    The certificate of this machine decides. Of an instrument that it does not hold, the quick known answers are
    asked now, once a process. An instrument that rests on a refused one is refused with it.
    """
    certificate = find(this_machine())
    held: dict[str, list[Answer]] = defaultdict(list)
    if isinstance(certificate, Certificate):
        for answer in certificate.answers:
            if answer.kind == "instrument":
                held[answer.name].append(answer)
    failed = {made.name: [a for a in held.get(made.name) or _quick(made) if not a.passed] for made in used}
    reasons = {name: told(answers[0]) for name, answers in failed.items() if answers}
    for made in used:
        below = next((name for name in _below(made) if name in reasons), None)
        if below is not None:
            reasons.setdefault(made.name, f"it rests on {below}")
    return {made.name: reasons[made.name] for made in used if made.name in reasons}


def told(answer: Answer) -> str:
    """One failed answer in one phrase."""
    within = f" within {answer.tolerance:g}" if answer.tolerance is not None else ""
    return f"{answer.title} is known to be {answer.expected}{within}, and here it is {answer.got}"


def _quick(made: Instrument) -> list[Answer]:
    if id(made) not in _asked:
        with blas_threads(1):
            _asked[id(made)] = made, [answered(q) for q in instrument_questions(made) if q.quick]
    return _asked[id(made)][1]


def _below(made: Instrument) -> Iterable[str]:
    """The instruments that one rests on, the deepest first."""
    if "spectrum" in made.needs and made.name != "spectrum":
        yield "spectrum"
    if "tail" in made.needs or RESTS_ON.get(made.name) == "tail":
        yield "tail"
    if RESTS_ON.get(made.name) == "bulk":
        yield "bulk"
