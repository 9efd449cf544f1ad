"""The same attacks on Tollens and on the peers that seal a plan: what each command really leaves and says.

    python -m benchmarks.seal_peers [--row NAME ...] [--tool NAME ...] [--say] [--quick]

Every cell is a run of the tool's own commands in a folder of its own, beside the same commands without the attack.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import seal_ours, seal_theirs
from benchmarks.process import peer_python
from benchmarks.seal_cell import (
    KINDS,
    MEANING,
    NOT_APPLICABLE,
    Case,
    Cell,
    Said,
    classify,
    command,
    perform,
    quiet_environment,
)
from benchmarks.table import OUT, machine

CHANGED = r"tampered|\bchanged\b|altered|mismatch|differs?\b|modified|\bedit|does not match|hash verification"
UNHELD = r"tampered|\bchanged\b|altered|mismatch|anchor|\bowed\b|staged change to|frozen file.*refused|rewrit"


@dataclass(frozen=True, slots=True)
class Row:
    """`names`: what an answer to this attack says, whoever gives it. `control`: nothing is wrong, and all must pass."""

    key: str
    what: str
    names: str
    control: bool = False


ROWS = (
    Row("edit", "edit after the seal", CHANGED),
    Row("again", "seal again after the edit", rf"already|amend|relock|{CHANGED}"),
    Row("deleted", "delete record, seal again", UNHELD),
    Row("rewritten", "rewrite all, hashes valid", UNHELD),
    Row("deleted, published", "delete; seal was published", UNHELD),
    Row("rewritten, published", "rewrite; seal was published", UNHELD),
    Row("reversed", "metric reversed before seal", r"revers|wrong (sign|direction)|direction"),
    Row("code", "code edited during the run", rf"changed during|{CHANGED}"),
    Row("seed", "a seed dropped", rf"seed|{CHANGED}"),
    Row("key", "a key removed", rf"missing|removed|{CHANGED}"),
    Row("nan", "NaN as value", r"not scorable|non-?finite|\bfinite\b|not a number|invalid|nan is"),
    Row("support", "value outside its support", r"not scorable|outside|out of range|support"),
    Row("data", "data file swapped", rf"data.*mismatch|{CHANGED}"),
    Row("reducer", "reducer changed", rf"reducer|{CHANGED}"),
    Row("access", "understate what was seen", r"results seen|shows more|lower than|late amend|after runs|deviat"),
    Row("typed", "value typed by hand", r"no such option|unrecognized arguments"),
    Row("crlf", "CRLF checkout: a control", rf"{CHANGED}|lone|line end", control=True),
)


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    package: str
    cases: Mapping[str, Case | None]
    state: Callable[[str, Path, Callable[[str], Path]], None]
    environment: dict[str, str]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", action="append", choices=[row.key for row in ROWS])
    parser.add_argument("--tool", action="append", choices=["tollens", *PACKAGES])
    parser.add_argument("--say", action="store_true", help="print the last words of every cell")
    parser.add_argument("--quick", action="store_true", help="the first row and the last")
    given = parser.parse_args(arguments)
    keys = given.row or ([ROWS[0].key, ROWS[-1].key] if given.quick else [row.key for row in ROWS])
    rows = [row for row in ROWS if row.key in keys]
    tools = [tool for tool in known_tools() if not given.tool or tool.name in given.tool]
    with tempfile.TemporaryDirectory() as folder:
        made = {tool.name: Bench(tool, Path(folder) / tool.name) for tool in tools}
        versions = {name: bench.version() for name, bench in made.items()}
        cells: dict[str, dict[str, Cell]] = {}
        for row in rows:
            cells[row.key] = {name: bench.cell(row) for name, bench in made.items() if versions[name] is not None}
            print(f"  {row.key}", file=sys.stderr, flush=True)
    show(rows, versions, cells, given.say)


PACKAGES = {"prereg": "prereg", "falsify": "falsify", "falsify-engine": "falsify", "preregister": "preregister"}


def known_tools() -> list[Tool]:
    environment = quiet_environment(str(Path(peer_python()).parent))

    def theirs(state: seal_theirs.State) -> Callable[[str, Path, Callable[[str], Path]], None]:
        return lambda name, folder, before: state(name, folder, before, environment)

    cases = {
        "prereg": (seal_theirs.PREREG, seal_theirs.prereg_state),
        "falsify": (seal_theirs.falsify_cases(environment), seal_theirs.falsify_state),
        "falsify-engine": (seal_theirs.engine_cases(environment), seal_theirs.engine_state),
        "preregister": (seal_theirs.PREREGISTER, seal_theirs.preregister_state),
    }
    tools = [Tool("tollens", "tollens", seal_ours.CASES, seal_ours.start, environment)]
    return tools + [
        Tool(name, PACKAGES[name], made, theirs(state), environment) for name, (made, state) in cases.items()
    ]


class Bench:
    """The folders of one tool: every state of its study is made once and copied for each run."""

    def __init__(self, tool: Tool, root: Path) -> None:
        self.tool = tool
        self.root = root
        self.controls: dict[Case, Said] = {}
        self.runs = 0
        root.mkdir(parents=True)

    def version(self) -> str | None:
        """None where the tool is not installed."""
        python = sys.executable if self.tool.package == "tollens" else peer_python()
        code = f"from importlib.metadata import version; print(version({self.tool.package!r}))"
        said = command(self.root, [python, "-c", code])
        return said.words if said.exit == 0 else None

    def state(self, name: str) -> Path:
        folder = self.root / name
        if not folder.exists():
            folder.mkdir()
            self.tool.state(name, folder, self.state)
        return folder

    def run(self, case: Case) -> Said:
        self.runs += 1
        folder = self.root / f"run-{self.runs}"
        shutil.copytree(self.state(case.start), folder, symlinks=True)
        said = perform(folder, case.steps, self.tool.environment)
        shutil.rmtree(folder)
        return said

    def cell(self, row: Row) -> Cell:
        case = self.tool.cases[row.key]
        if case is None:
            return NOT_APPLICABLE
        without = case.without_attack()
        if without not in self.controls:
            self.controls[without] = self.run(without)
        attacked, control = self.run(case), self.controls[without]
        said = control.words if control.exit else attacked.words
        return Cell(classify(attacked, control, row.names), attacked.exit, said[-400:], control.exit)


def show(
    rows: Sequence[Row], versions: Mapping[str, str | None], cells: Mapping[str, Mapping[str, Cell]], say: bool
) -> None:
    names = [name for name, found in versions.items() if found is not None]
    print("\nseal_peers: attacks on a seal, each beside the exit code that the tool left")
    print(f"  {machine()}")
    print("  " + "".ljust(28) + "".join(name.ljust(15) for name in names))
    print("  " + "".ljust(28) + "".join(str(versions[name]).ljust(15) for name in names))
    for row in rows:
        print("  " + row.what.ljust(28) + "".join(cells[row.key][name].shown.ljust(15) for name in names).rstrip())
        if say:
            for name in names:
                print(f"      {name}: {cells[row.key][name].said}")
    attacks = [row for row in rows if not row.control]
    print(f"  of {len(attacks)} attacks")
    for kind in KINDS:
        counts = Counter(name for row in attacks for name in names if cells[row.key][name].kind == kind)
        if counts:
            print("  " + f"  {kind}".ljust(28) + "".join(str(counts[name]).ljust(15) for name in names).rstrip())
    used = {cell.kind for found in cells.values() for cell in found.values()}
    for kind in KINDS:
        if kind in used:
            print(f"  {kind}: {MEANING[kind]}")
    for name in (name for name, found in versions.items() if found is None):
        print(f"  {name} is not installed: pip install -e '.[bench]', or name its python in TOLLENS_BENCH_PYTHON")
    print("  Later versions are not examined. No network: prereg's OpenTimestamps proofs are owed, not made.")
    sys.stdout.flush()
    OUT.mkdir(parents=True, exist_ok=True)
    record = {
        "title": "seal_peers", "machine": machine(), "versions": dict(versions),
        "cells": {key: {name: asdict(cell) for name, cell in found.items()} for key, found in cells.items()},
    }  # fmt: skip
    (OUT / "seal_peers.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
