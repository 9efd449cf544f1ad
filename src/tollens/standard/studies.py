"""Three sealed claims about the bundled network: a true one that survives, two false ones that die where it is cheap.

Real studies: made, sealed and climbed in a folder by the same functions as `tollens new`, `lock` and `climb`. Between
seal and climb of the true one a byte of its threshold is edited, and edited back.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollens import demo
from tollens.core.errors import Exit, TollensError
from tollens.protocol import seal as seals
from tollens.protocol.decision import Decision, RungResult
from tollens.protocol.study import FILE
from tollens.run.climb import Progress, climb, plan
from tollens.run.lock import SealReport, lock
from tollens.run.new import new
from tollens.run.pricing import Plan, RungPrice

TRUE, IMPOSSIBLE, FALSE = "true", "impossible", "false"
SEALED_RATIO, CLAIMED_RATIO = "3.8", "4.5"
EDITED = ('value = "-0.5"', 'value = "-9.5"')
"""What is edited after the seal: a threshold that nine more points of accuracy could be lost under."""
FIELD = "claim.value"
IMPOSSIBLE_TEXT = f"In 8 bits the network is {CLAIMED_RATIO} times smaller, at half a point of accuracy at most"


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed claim: what had to become of it, what a climb would cost, what it came to.

    `rung` is where it has to be decided. `decision` is None where the climb was refused; `refused` says why.
    `sealed_bytes` are those of the sealed files, all of them read and hashed; `seconds` is the wall time of seal and
    climb together.
    """

    verdict: str
    rung: str
    seal: str
    sealed_bytes: int
    plan: Plan
    decision: Decision | None
    refused: str | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it died, or survived, at that rung and with every control that was run as it must be."""
        made = self.decision
        if made is None or (made.verdict, made.rung) != (self.verdict, self.rung):
            return False
        fates = {trap.must for trap in made.traps if trap.fired}
        return all(trap.fired for trap in made.traps) and "survive" in fates and self._complete(made)

    def _complete(self, made: Decision) -> bool:
        """A kill leaves the dearer rungs unspent; a survival has met every control and a null it exceeds."""
        if self.verdict == "KILLED":
            return bool(self.unreached)
        missed = [name for rung in made.rungs for name in rung.traps_not_run]
        return made.null is not None and made.null.exceeded and not missed and not self.unreached

    @property
    def reached(self) -> list[RungResult]:
        """The rungs that were run, in order."""
        return [] if self.decision is None else [r for r in self.decision.rungs if r.verdict != "BLOCKED"]

    @property
    def unreached(self) -> list[RungPrice]:
        """The rungs that were not, with what they would have cost."""
        done = {result.id for result in self.reached}
        return [price for price in self.plan.rungs if price.id not in done]


class Refusal(msgspec.Struct, frozen=True):
    """What became of a study that was edited after its seal.

    `byte` is the place of the edited byte, from 0; `code`, `exit_code` and `found` are those of the refusal, None and
    empty where the climb was not refused; `restored`: with the byte put back the climb went on.
    """

    file: str
    byte: int
    sealed: str
    edited: str
    code: str | None
    exit_code: int | None
    found: str
    restored: bool
    seconds: float

    @property
    def passed(self) -> bool:
        named = f"{FIELD} sealed " in self.found
        return self.exit_code == Exit.TAMPERED and self.code == "tampered" and named and self.restored


class Studies(msgspec.Struct, frozen=True):
    """The climbs by name, and the refusal of the edited one."""

    climbs: dict[str, Climb]
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Verbs:
    """What the studies are made with. The defaults are the product; a test breaks one of them."""

    lock: Callable[[Path], SealReport] = lock
    climb: Callable[..., Decision] = climb


def climb_studies(folder: Path, verbs: Verbs | None = None, progress: Progress | None = None) -> Studies:
    """Make, seal and climb the three studies in `folder`, which is left with all they wrote.

    Raises TollensError where a study is not sealed.
    """
    verbs = verbs or Verbs()
    impossible = _climbed(_impossible(folder), "KILLED", "numbers", verbs, progress)
    false = _climbed(spread_study(folder, "trapped.safetensors"), "KILLED", "largest", verbs, progress)
    where = folder / "int8-digits"
    new(where)
    begin = time.perf_counter()
    seal = verbs.lock(where)
    sealing = time.perf_counter() - begin
    refusal = _edited(where, verbs)
    true = _met(where, seal, ("SURVIVED", "accuracy"), verbs, progress)
    true = msgspec.structs.replace(true, seconds=true.seconds + sealing)
    refusal = msgspec.structs.replace(refusal, restored=true.decision is not None)
    return Studies({IMPOSSIBLE: impossible, FALSE: false, TRUE: true}, refusal)


def _climbed(where: Path, verdict: str, rung: str, verbs: Verbs, progress: Progress | None) -> Climb:
    begin = time.perf_counter()
    seal = verbs.lock(where)
    made = _met(where, seal, (verdict, rung), verbs, progress)
    return msgspec.structs.replace(made, seconds=time.perf_counter() - begin)


def _met(where: Path, seal: SealReport, fate: tuple[str, str], verbs: Verbs, progress: Progress | None) -> Climb:
    prices = plan(where)
    begin = time.perf_counter()
    decision, refused = None, None
    try:
        decision = verbs.climb(where, progress=progress)
    except TollensError as error:
        refused = f"{error.code}: {error.found}"
    return Climb(
        verdict=fate[0], rung=fate[1], seal=seal.seal, sealed_bytes=_sealed_bytes(where), plan=prices,
        decision=decision, refused=refused, seconds=time.perf_counter() - begin,
    )  # fmt: skip


def _sealed_bytes(where: Path) -> int:
    path = where / seals.FILE
    return sum(entry.bytes for entry in seals.read_seal(path.read_bytes()).entries) if path.is_file() else 0


def _edited(where: Path, verbs: Verbs) -> Refusal:
    """Climb with one byte of the threshold edited, then put the byte back."""
    path = where / FILE
    before = path.read_bytes()
    after = before.replace(EDITED[0].encode(), EDITED[1].encode())
    places = [place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    if len(places) != 1:
        raise ValueError(f"{len(places)} bytes of {FILE} would be edited, not one")
    path.write_bytes(after)
    begin = time.perf_counter()
    code, exit_code, found = None, None, ""
    try:
        verbs.climb(where)
    except TollensError as error:
        code, exit_code, found = error.code, int(error.exit_code), f"{error.subject}: {error.found}"
    finally:
        path.write_bytes(before)
    old, changed = (text.partition('"')[2].rstrip('"') for text in EDITED)
    seconds = time.perf_counter() - begin
    return Refusal(FILE, places[0], old, changed, code, exit_code, found, restored=False, seconds=seconds)


def _impossible(folder: Path) -> Path:
    """The example, with a compression in its text and its numbers that 8 bits and a scale for each row cannot reach."""
    where = folder / "int8-smaller"
    new(where)
    claim, numbers = where / FILE, where / "numbers.toml"
    said = next(line for line in claim.read_text(encoding="utf-8").splitlines() if line.startswith("text = "))
    _replace(claim, said, f'text = "{IMPOSSIBLE_TEXT}"', 1)
    _replace(numbers, SEALED_RATIO, CLAIMED_RATIO, 2)
    return where


def spread_study(folder: Path, checkpoint: str) -> Path:
    """The study of the weights alone, about a bundled checkpoint: true of the good one, false of the trapped."""
    where = folder / "spread-digits"
    where.mkdir()
    for source in (*demo.spread_files(), demo.path(checkpoint)):
        shutil.copyfile(source, where / source.name)
    _replace(where / FILE, 'checkpoint = "good.safetensors"', f'checkpoint = "{checkpoint}"', 1)
    return where


def _replace(path: Path, old: str, new_: str, times: int) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != times:
        raise ValueError(f"{path.name} holds {old!r} {text.count(old)} times, not {times}")
    path.write_text(text.replace(old, new_), encoding="utf-8")
