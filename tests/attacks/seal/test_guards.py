"""Every guard taken away once: an attack that it had held then goes through, so that no guard and no attack is idle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.attacks.seal import test_files, test_ledger, test_run
from tests.attacks.seal.study import ILL, Attack, Cli, edit, fought, held, items, push, record, records, rewrite

from tollens.core.expression.examine import examine
from tollens.protocol.null import null_answer
from tollens.record.envelope import read_line
from tollens.record.ledger import Ledger, Writer
from tollens.run.anchor import Anchor
from tollens.run.lock import lock

Study = Callable[[str], Path]


class Any_(str):
    """Equal to whatever it is compared with."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


@dataclass(frozen=True)
class Guard:
    """`target` is what holds the attack, `without` what stands there once it is gone, `then` the exit that follows.

    `behind` is what would still hold it: a second guard, taken away with the first.
    """

    target: str
    without: Any
    attack: Attack
    then: int = 0
    behind: tuple[str, Any] | None = None


@dataclass
class Forgetful:
    """Appends to whatever ledger is there."""

    path: Path
    last: object = None

    def append(self, kind: Any, body: Any) -> Any:
        return Writer(self.path).append(kind, body)

    def append_all(self, bodies: Any) -> Any:
        return Writer(self.path).append_all(bodies)


@contextmanager
def _in_place(folder: Path, *_: object) -> Iterator[Path]:
    yield folder


def _with_metric(old: str, new: str, lost: int = 1) -> Callable[[Path], None]:
    """A draft with another metric and its own seal."""

    def do(folder: Path) -> None:
        edit(folder / "metric.py", old, new.replace("HOME", str(folder)))
        (folder / "items.csv").write_text(items(lost), encoding="utf-8")
        lock(folder)

    return do


def _with_claim(old: str, new: str, lost: int = 1, *, sealed: bool = True) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        edit(folder / "claim.toml", old, new)
        (folder / "items.csv").write_text(items(lost), encoding="utf-8")
        if sealed:
            lock(folder)

    return do


def _foreign(folder: Path) -> None:
    """Readings and verdict of a true study, copied behind the seal of a false one."""
    edit(folder / "claim.toml", "The gate", "A gate")
    lock(folder)
    twin = folder.parent / "twin"
    from tests.attacks.seal.study import make

    from tollens.run.climb import climb

    lock(make(twin))
    climb(twin)
    rewrite(folder, [*records(folder), *records(twin)[1:]])


def _typed_verdict(folder: Path) -> None:
    rows = records(folder)
    body = json.loads(json.dumps(rows[-1]["body"]))
    body["decision"]["verdict"] = "SURVIVED"
    rewrite(folder, [*rows[:-1], record("verdict", body)])


def _typed_reading(folder: Path) -> None:
    seal = records(folder)[0]["body"]["seal"]
    typed = []
    for seed in (1, 2):
        key = {"seal": seal, "rung": "items", "arm": "gated", "cell": f"seed={seed}", "seed": seed}
        body = {"run": "typed", "key": key, "attempt": 1, "readings": {"accuracy_diff": 0}, "note": "", "seconds": 0.1}
        typed.append(record("cell.finished", body))
    rewrite(folder, [*records(folder), *typed])
    push(folder, folder.parent / "remote.git")


def _pushed_then_rewritten(folder: Path) -> None:
    from tests.attacks.seal.study import make

    push(folder, folder.parent / "remote.git")
    twin = make(folder.parent / "twin", lost=ILL)
    edit(twin / "claim.toml", "-10 pp", "-60 pp")
    edit(twin / "claim.toml", 'value = "-10"', 'value = "-60"')
    lock(twin)
    for name in ("claim.toml", "seal.json", "ledger.jsonl"):
        (folder / name).write_bytes((twin / name).read_bytes())


def _hinted(folder: Path) -> None:
    """A false claim, and a file put beside it after the seal that its metric would follow if it saw it."""
    _with_metric(
        PRODUCE,
        PRODUCE + "    import os\n    arm = 'base' if arm == 'gated' and os.path.exists('hint') else arm\n",
        ILL,
    )(folder)
    (folder / "hint").touch()


def _amended(folder: Path) -> None:
    from tollens.run.lock import amend

    edit(folder / "claim.toml", "The gate", "A gate")
    amend(folder, "wording", "results seen")


def _beaten(*arguments: Any) -> Any:
    return msgspec.structs.replace(null_answer(*arguments), exceeded=True)


REVERSED = 'relation = ">="\nvalue = "-10"\nunit = "pp"\ndirection = "lower_is_better"'
STRAIGHT = 'relation = ">="\nvalue = "-10"\nunit = "pp"\ndirection = "higher_is_better"'
PRODUCE = "def produce(arm, cell, rng):\n"
MEMORY = PRODUCE + (
    "    import os\n    first = not os.path.exists('asked')\n    open('asked', 'a').write('x')\n"
    "    arm = 'base' if arm == 'gated' and not first else arm\n"
)


def _writes(what: str) -> str:
    return PRODUCE + f"    import os\n    home = 'HOME'\n    if arm == 'gated':\n        {what}\n"


TOLD = 'return {"accuracy_diff": 100 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"]))}'
ABOVE = 'return {"accuracy_diff": 109 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"]))}'

GUARDS = {
    "sealed files are hashed": Guard("tollens.run.study.departures", lambda *_: [], test_files.ATTACKS["one answer"]),
    "changed fields are named": Guard(
        "tollens.run.study.study_changes", lambda *_: [], test_files.ATTACKS["a seed dropped"], then=20
    ),
    "the chain is checked": Guard(
        "tollens.record.ledger.check_chain", lambda *_: None, test_ledger.ATTACKS["a record and its own hash"], then=10
    ),
    "the form of records is checked": Guard(
        "tollens.record.ledger.check_bodies",
        lambda *_: None,
        Attack(_typed_verdict, 20, ("TAMPERED ledger.jsonl",), "killed"),
    ),
    "records name their seal": Guard(
        "tollens.run.study._seal_named",
        lambda _: Any_(),
        Attack(_foreign, 0, ("SEALED",), "draft", never=("SURVIVED",)),
    ),
    "the manifest has the hash of its seal": Guard(
        "tollens.protocol.seal.seal_hash", lambda _: Any_(), test_ledger.ATTACKS["another manifest under the old hash"]
    ),
    "seal.json has the hash of its seal": Guard(
        "tollens.run.study._text_digest", lambda _: Any_(), test_ledger.ATTACKS["seal.json edited"]
    ),
    "a sealed study is not sealed again": Guard(
        "tollens.run.lock.read_ledger", lambda _: Ledger(()), test_ledger.ATTACKS["sealed again without seal.json"]
    ),
    "the ledger sets the floor of what was seen": Guard(
        "tollens.run.lock.floor_of",
        lambda *_: "nothing run",
        test_ledger.ATTACKS["nothing run declared after a verdict"],
    ),
    "an amendment after results is labelled": Guard(
        "tollens.run.study.Sealed.exploratory",
        False,
        Attack(_amended, 0, ("SURVIVED", "EXPLORATORY"), "survived", ("climb",)),
    ),
    "a verdict is not asked for twice": Guard(
        "tollens.run.study.Sealed.verdict",
        None,
        test_ledger.ATTACKS["a second climb for a second chance"],
        then=10,
        behind=("tollens.run.study._check_decision", lambda _: None),
    ),
    "published history is asked": Guard(
        "tollens.run.evidence.anchor_of",
        lambda *_, **__: Anchor("none", "unanchored"),
        Attack(_pushed_then_rewritten, 20, ("holds another seal",), "false"),
    ),
    "readings of an earlier run are not anchored": Guard(
        "tollens.run.study.Sealed.kept",
        0,
        Attack(_typed_reading, 0, ("SURVIVED gate unanchored",), "false", ("climb",)),
    ),
    "inputs are hashed after the run": Guard(
        "tollens.run.climb._changed",
        lambda *_: [],
        Attack(
            _with_metric(PRODUCE, _writes("open(home + '/items.csv', 'a').write('1,1\\n')")),
            20,
            ("inputs changed during run",),
            "draft",
            ("climb",),
        ),
    ),
    "what a run leaves behind is looked for": Guard(
        "tollens.run.climb.left",
        lambda *_: [],
        Attack(_with_metric(PRODUCE, MEMORY, ILL), 20, ("inputs changed during run",), "draft", ("climb",)),
    ),
    "nobody else writes to the ledger": Guard(
        "tollens.run.climb.writer",
        lambda folder: Forgetful(folder / "ledger.jsonl"),
        Attack(
            _with_metric(PRODUCE, _writes(test_run.LEDGERS["a record of its own, its chain valid"])),
            20,
            ("ledger",),
            "draft",
            ("climb",),
        ),
    ),
    "the chain is checked before the verdict": Guard(
        "tollens.run.climb.read_ledger",
        lambda path: Ledger(tuple(read_line(text) for text in path.read_bytes().splitlines())),
        Attack(
            _with_metric(PRODUCE, _writes(test_run.LEDGERS["the first line edited"])),
            20,
            ("ledger",),
            "draft",
            ("climb",),
        ),
    ),
    "the run sees its private copy alone": Guard(
        "tollens.run.climb.snapshot",
        _in_place,
        Attack(_hinted, 10, ("KILLED",), "draft", ("climb",)),
        then=0,
        behind=("tollens.run.climb.left", lambda *_: []),
    ),
    "readings are held against their support": Guard(
        "tollens.run.climb.scored",
        lambda found, *_: found,
        Attack(
            _with_claim("support = [-100, 100]", "support = [-100, -6]", sealed=True),
            22,
            ("NOT SCORABLE",),
            "draft",
            ("climb",),
        ),
        behind=("tollens.core.expression.ranges.Range.can_be", lambda *_: True),
    ),
    "controls decide whether anything counts": Guard(
        "tollens.protocol.attack._fired",
        lambda *_: True,
        Attack(_with_claim('arm = "coin"', 'arm = "twin"'), 12, ("VOID",), "draft", ("climb",)),
    ),
    "chance is beaten and not only met": Guard(
        "tollens.protocol.attack.null_answer",
        _beaten,
        Attack(
            _with_metric('return ("guess", int(rng.integers(2**32)))', "return 'gated'"),
            11,
            ("chance alone reaches it",),
            "draft",
            ("climb",),
        ),
    ),
    "the metric is tried before it is sealed": Guard(
        "tollens.run.lock.sign_checked",
        lambda *_: ({}, "SIGN OK"),
        Attack(
            lambda f: edit(f / "metric.py", "100 * float", "-100 * float"), 3, ("SIGN REVERSED",), "draft", ("lock",)
        ),
    ),
    "the direction is held against the relation": Guard(
        "tollens.run.sealable.check_direction",
        lambda _: None,
        Attack(
            lambda f: (
                edit(f / "claim.toml", STRAIGHT, REVERSED),
                edit(f / "claim.toml", 'order = "max"', 'order = "min"'),
                edit(
                    f / "metric.py",
                    'np.mean(inputs["subject"]) - np.mean(inputs["reference"])',
                    'np.mean(inputs["reference"]) - np.mean(inputs["subject"])',
                ),
            ),
            3,
            ("SIGN REVERSED accuracy_diff >=",),
            "draft",
            ("lock",),
        ),
    ),
    "every rung has both controls": Guard(
        "tollens.run.sealable.check_rungs",
        lambda *_: [],
        Attack(_with_claim('must = "die"', 'must = "survive"', sealed=False), 3, ("trap_missing",), "draft", ("lock",)),
    ),
    "the finding says what the claim says": Guard(
        "tollens.run.sealable.examine",
        lambda finding, kill, _, domains: examine(finding, kill, finding, domains),
        Attack(_with_claim('value = "-10"', 'value = "-5"', sealed=False), 3, ("finding_weaker",), "draft", ("lock",)),
    ),
    "the level has its draws": Guard(
        "tollens.protocol.null.refuse_few",
        lambda _: None,
        Attack(_with_claim("draws = 19", "draws = 18", sealed=False), 3, ("null_few_draws",), "draft", ("lock",)),
    ),
    "code that hides its imports is not sealed": Guard(
        "tollens.run.closure._Source.dynamic",
        lambda _: iter(()),
        Attack(
            lambda f: edit(f / "metric.py", "import numpy as np", "import numpy as np\nexec('x = 1')"),
            3,
            ("metric_dynamic",),
            "draft",
            ("lock",),
        ),
    ),
    "unknown integers are looked at": Guard(
        "tollens.protocol.study._numbers",
        lambda *_: iter(()),
        Attack(
            _with_claim("seeds = [1, 2]", f"seeds = [1, {10**18}]", sealed=False), 3, ("2^53 - 1",), "draft", ("lock",)
        ),
        then=70,
    ),
}


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_holds_its_attack_and_nothing_else_does(
    name: str, study: Study, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = GUARDS[name]
    said = fought(guard.attack, study(guard.attack.template), cli)
    assert held(guard.attack, said), said
    for target, without in ((guard.target, guard.without), *([guard.behind] if guard.behind else [])):
        monkeypatch.setattr(target, without)
    said = fought(guard.attack, study(guard.attack.template), cli)
    assert not held(guard.attack, said), said
    assert said.exit == guard.then, said


def test_the_lock_is_what_keeps_two_climbs_apart(sealed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollens.run.study import alone

    with alone(sealed):
        said = cli("climb", sealed)
        assert (said.exit, "study_busy" in said.err) == (2, True)
        monkeypatch.setattr("tollens.run.climb.alone", lambda _: nullcontext())
        assert cli("climb", sealed).exit == 0
