"""A table of ten thousand claims, as one process: reading, judging, printing.

python -m benchmarks.lint [--claims 10000] [--rounds 5] [--quick]

The floor is the standard library's TOML parser on the same file; no other tool checks reported numbers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tollens.lint.invariants
from benchmarks.process import measure
from benchmarks.process import tollens as verb
from benchmarks.table import Line, show
from tollens.lint.ask import entry_text
from tollens.lint.example import example_claim
from tollens.lint.law import Example, Invariant
from tollens.lint.registry import INVARIANTS

assert tollens.lint.invariants
TARGET = 5.0
FLOOR = "import sys, tomllib; tomllib.loads(open(sys.argv[1]).read())"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    rounds = 1 if given.quick else given.rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claims.toml"
        path.write_text(claims(given.claims))
        runs = [measure(verb("lint", str(path), "--json"), 1) for _ in range(rounds)]
        floors = [measure([sys.executable, "-c", FLOOR, str(path)], 1) for _ in range(rounds)]
        size = path.stat().st_size / 1e6
    seconds = statistics.median(run.wall for run in runs)
    floor = statistics.median(run.wall for run in floors)
    contended = sum(run.contended for run in runs)
    detail = f"{max(run.peak_mb for run in runs):.0f} MB; {contended} of {rounds} runs contended"
    show(
        f"lint: {given.claims:,} claims of {len(closed())} invariants, {size:.1f} MB",
        [
            Line("tollens lint --json", f"< {TARGET:g} s", f"{seconds:.2f} s", seconds < TARGET, detail),
            Line("tomllib alone (floor)", "-", f"{floor:.2f} s", None, f"{seconds / floor:.1f} times the floor"),
        ],
        [f"median of {rounds}, one thread"],
    )


def closed() -> list[Invariant]:
    """The laws that need no replay: a replay is a computation, and its time is its own."""
    return [made for made in INVARIANTS.values() if not made.replays]


def claims(count: int) -> str:
    """The known answers of all laws in turn, as a table of claims, those that come out unchecked left out."""
    examples = [(made, x) for made in closed() for x in made.known if x.outcome != "unchecked"]
    return "\n".join(_claim(k, *examples[k % len(examples)]) for k in range(count))


def _claim(number: int, made: Invariant, example: Example) -> str:
    lines = [
        f'[[claim]]\nid = "c{number}"\ntext = "claim {number} of a long report"\nkind = "{made.id}"',
        "[claim.fields]",
    ]
    for name, entry in example_claim(made, example).fields.items():
        lines.append(f"{name} = {_written(entry)}")
    return "\n".join(lines) + "\n"


def _written(entry: object) -> str:
    """A field as a table of claims has it."""
    if isinstance(entry, bool):
        return "true" if entry else "false"
    if isinstance(entry, str):
        return f'"{entry}"'
    if isinstance(entry, tuple):
        return f"[{', '.join(_written(part) for part in entry)}]"
    number, unit = entry.number, entry.unit  # type: ignore[attr-defined]  # what remains is a quantity
    said = f', unit = "{unit}"' if unit is not None else ""
    measured = ", measured = true" if entry.measured else ""  # type: ignore[attr-defined]
    if number.high is not None:
        low = entry_text(entry).partition(" to ")[0]  # type: ignore[arg-type]
        return f'{{ low = "{low}", high = "{number.high.text}"{said}{measured} }}'
    return f'{{ value = "{number.text}"{said}{measured} }}'


if __name__ == "__main__":
    main()
