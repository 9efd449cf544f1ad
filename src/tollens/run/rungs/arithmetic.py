"""The free rung: the numbers that the claim rests on, put through the laws of `tollens lint`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tollens.lint.judge import claim_outcome
from tollens.protocol.registration import Cell
from tollens.protocol.rung import VIOLATIONS, Arm, Attack, Measured, Opening, Request, RungKind, rung_kind
from tollens.protocol.study import Trap, refused
from tollens.run.lint import lint_files

IMPOSSIBLE, TRUE = "impossible", "true"
SECONDS = 0.05
_CONTROL = """[[claim]]
id = "control"
text = "two stages of 3 ms and 9 ms, one after the other, take {total} ms"
kind = ["acct.sum", "acct.stage_floor"]
[claim.fields]
parts = {{ values = ["3", "9"], unit = "ms" }}
total = {{ value = "{total}", unit = "ms" }}
sequential = true
"""
CONTROLS = {IMPOSSIBLE: _CONTROL.format(total=5), TRUE: _CONTROL.format(total=12)}


@contextmanager
def opened(opening: Opening) -> Iterator[Attack]:
    """Lint of the rung's table of numbers; the two controls are tables of one claim each."""
    numbers = opening.rung.numbers
    if numbers is None:
        raise refused(
            "study_field", f"rung {opening.rung.id}", "a table of reported numbers", "none",
            'Write numbers = "numbers.toml", in the form of `tollens lint`.',
        )  # fmt: skip

    def measure(arm: Arm, cell: Cell) -> Measured:
        if arm.name in CONTROLS:
            control = opening.folder.with_name(f"{opening.folder.name}-{arm.name}.toml")
            control.write_text(CONTROLS[arm.name], encoding="utf-8")
            try:
                return linted(control)
            finally:
                control.unlink()
        return linted(opening.folder / numbers)

    yield measure


def linted(path: Path) -> Measured:
    """How many claims of a table arithmetic refutes, and the witness of the first."""
    report = lint_files([path])
    worst = [finding for finding in report.findings if finding.outcome == "refuted"]
    refuted = len({finding.id for finding in worst})
    note = f"{worst[0].id}: {worst[0].witness}" if worst else report.headline
    if refuted:
        assert claim_outcome(worst) == "refuted"
    return Measured({VIOLATIONS: refuted}, note)


ARITHMETIC = rung_kind(
    RungKind(
        name="arithmetic",
        version="1",
        judges="itself",
        open=opened,
        request=lambda opening: Request(SECONDS, "one reading of the table"),
        traps=(Trap(arm=TRUE, must="survive"), Trap(arm=IMPOSSIBLE, must="die")),
        arms=frozenset(CONTROLS),
    )
)
