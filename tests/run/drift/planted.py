"""A repository with every defect in three guises: real studies, sealed and climbed, and papers that cite them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks.seal.study import CLAIM, ILL, METRIC, chained, make, record, records

from tollens.core.canonical import canonical
from tollens.record.ledger import FILE, Writer
from tollens.run.climb import climb
from tollens.run.lock import amend, lock
from tollens.run.postmortem import record_postmortem

INCLUDED = METRIC.replace("import numpy as np\n", "import numpy as np\nfrom scale import SCALE\n").replace(
    '"accuracy_diff": 100 *', '"accuracy_diff": SCALE *'
)
UNSURE = ("mean(accuracy_diff) < -10 pp", "mean(accuracy_diff) < -60 pp")
LABORATORY = """[[constraint]]
id = "care"
trigger = "touches in {kv}"
mechanism = "it has failed before"
require = ["survived:cited"]
"""
EVIDENCE = '\n[proposal]\ntouches = ["weights"]\n\n[[evidence]]\nconstraint = "care"\n'
Expected = tuple[str, int, str]
Plant = Callable[[Path], Expected]


def build(base: Path) -> Path:
    """The clean repository: studies that were really sealed and climbed, and one paper that is right."""
    root = base / "clean"
    studies = root / "studies"
    made = {
        "gate": make(studies / "gate"),
        "cited": make(studies / "cited", claim=named("cited")),
        "dead": make(studies / "dead", lost=ILL, claim=named("dead")),
        "unsure": make(studies / "unsure", lost=ILL, claim=named("unsure").replace(*UNSURE)),
        "open": make(studies / "open", claim=named("open")),
        "draft": make(studies / "draft", claim=named("draft")),
        "twice": make(studies / "twice", claim=named("twice")),
    }
    (studies / "included").mkdir()
    (studies / "included" / "scale.py").write_text("SCALE = 100\n")
    made["included"] = make(studies / "included", claim=named("included"), metric=INCLUDED)
    with ThreadPoolExecutor(4) as pool:  # a climb mostly waits for the process of its metric
        list(pool.map(lock, [folder for name, folder in made.items() if name != "draft"]))
        again = pool.submit(climbed_twice, made["twice"])
        list(pool.map(climb, [made[name] for name in ("gate", "cited", "dead", "unsure")]))
        again.result()
    (root / "tollens.toml").write_text(LABORATORY)
    (root / "papers").mkdir()
    (root / "papers" / "loss.svg").write_text("<svg/>\n")
    (root / "papers" / "loss.csv").write_text("step,loss\n1,2\n")
    (root / "papers" / "good.md").write_text(
        f"The gate costs {number(root, 'cited')}, which <!--t:cite cited as=survived-->held.\n\n"
        f"<!--t:figure loss.svg data=loss.csv from={digest(root / 'papers' / 'loss.csv')}-->\n"
    )
    return root


def climbed_twice(folder: Path) -> None:
    climb(folder)
    edit(folder / "items.csv", "1,1", "1,0")
    amend(folder, "an item was wrong", "results seen")
    climb(folder)


def named(claim: str) -> str:
    """The claim under another id, with a null of few draws: what is asked here is what a climb leaves, not how sure."""
    few = CLAIM.replace("draws = 19", "draws = 4").replace('level = "0.05"', 'level = "0.2"')
    return few.replace('id = "gate"', f'id = "{claim}"')


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def digest(path: Path, length: int = 12) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:length]


def verdict(root: Path, study: str) -> dict[str, Any]:
    return next(r for r in reversed(records(root / "studies" / study)) if r["type"] == "verdict")


def source(root: Path, study: str) -> str:
    return str(verdict(root, study)["hash"][:12])


def value(root: Path, study: str) -> float:
    """The smallest of the readings: the sealed aggregate, computed here by hand."""
    return float(
        min(cell["accuracy_diff"] for cell in verdict(root, study)["body"]["decision"]["rungs"][0]["readings"].values())
    )


def cut(root: Path) -> str:
    """The wall time of a climb with as many digits as make cutting it off differ from rounding it."""
    seconds = str(verdict(root, "cited")["body"]["decision"]["spent"]["seconds"])
    whole, _, part = seconds.partition(".")
    place = next(n for n, digit in enumerate(part) if n and digit > "5")
    return f"{whole}.{part[:place]}"


def number(root: Path, study: str, *, digits: str | None = None, unit: str = "pp", of: str | None = None) -> str:
    """A tagged number; without other words it is as the tool writes it."""
    shown = f"{value(root, study):.1f}" if digits is None else digits
    bound = f" from={source(root, study) if of is None else of}" if of != "" else ""
    return f"{shown}<!--t:{study}.accuracy_diff unit={unit}{bound}-->"


def paper(name: str, text: Callable[[Path], str], code: str, line: int = 1) -> Plant:
    def planted(root: Path) -> Expected:
        (root / "papers" / name).write_text(text(root) + "\n", encoding="utf-8")
        return f"papers/{name}", line, code

    return planted


def copied(root: Path, study: str, to: str) -> Path:
    return Path(shutil.copytree(root / "studies" / study, root / "studies" / to))


def appended(root: Path, study: str, to: str, kind: Any, body: dict[str, Any]) -> tuple[Path, int]:
    """A copy of a study with one record more; its folder and the line of the record."""
    folder = copied(root, study, to)
    (folder / COPY).write_text("{}\n")
    return folder, Writer(folder / FILE).append(kind, body).seq + 1


def rewritten(folder: Path, kept: list[dict[str, Any]]) -> None:
    (folder / FILE).write_bytes(b"".join(canonical(row) + b"\n" for row in chained(kept)))


COPY = "result.imported.json"


def imported(**fields: Any) -> dict[str, Any]:
    """The body of an import record."""
    return {
        "source": "mlflow", "path": "/elsewhere/run.json", "sha256": "ab" * 32, "name": "accuracy_diff", "task": "t",
        "file": COPY, "data": hashlib.sha256(b"{}\n").hexdigest(),
        "metric": "accuracy_diff", "value": -1.0, "n": 40, "scored": 40, "unscored": 0, "made": "2099-01-01T00:00:00Z",
        "readings": {"accuracy_diff": -1.0}, **fields,
    }  # fmt: skip


# D01 ------------------------------------------------------------------------------------------------------------------


def edited(root: Path) -> Expected:
    edit(copied(root, "gate", "d01-edited") / "items.csv", "1,1", "1,0")
    return "studies/d01-edited/items.csv", 1, "D01"


def inclusion(root: Path) -> Expected:
    edit(copied(root, "included", "d01-included") / "scale.py", "100", "101")
    return "studies/d01-included/scale.py", 1, "D01"


def gone(root: Path) -> Expected:
    (copied(root, "gate", "d01-gone") / "metric.py").unlink()
    return "studies/d01-gone/metric.py", 1, "D01"


def chain(root: Path) -> Expected:
    edit(copied(root, "gate", "d01-chain") / FILE, '"attempt":1', '"attempt":2')
    return "studies/d01-chain/ledger.jsonl", 3, "D01"


def seal_file(root: Path) -> Expected:
    edit(copied(root, "open", "d01-seal") / "seal.json", "fixed", "mixed")
    return "studies/d01-seal/seal.json", 1, "D01"


def pinned(root: Path) -> Expected:
    (root / "papers" / "run.json").write_text("{}\n")
    body = imported(path="papers/run.json", sha256="cd" * 32)
    _, line = appended(root, "open", "d01-import", "import", body)
    return "studies/d01-import/ledger.jsonl", line, "D01"


def seal_gone(root: Path) -> Expected:
    (copied(root, "open", "d01-no-seal") / "seal.json").unlink()
    return "studies/d01-no-seal/seal.json", 1, "D01"


def other_manifest(root: Path) -> Expected:
    """A ledger whose record names the seal and holds another manifest; seal.json is the sealed one."""
    folder = copied(root, "open", "d01-manifest")
    (sealed,) = records(folder)
    sealed["body"]["manifest"]["guarantee"] = "any"
    rewritten(folder, [sealed])
    return "studies/d01-manifest/ledger.jsonl", 1, "D01"


def earlier_seal(root: Path) -> Expected:
    folder = copied(root, "twice", "d01-earlier")
    manifest = records(folder)[0]["body"]["manifest"]
    (folder / "seal.json").write_bytes(canonical(manifest) + b"\n")
    return "studies/d01-earlier/seal.json", 1, "D01"


def postmortem(root: Path) -> Expected:
    folder = copied(root, "dead", "d01-postmortem")
    edit(folder / "postmortem.toml", 'obstacle = ""', 'obstacle = "MEASUREMENT"')
    edit(folder / "postmortem.toml", 'lesson = ""', 'lesson = "look"')
    record_postmortem(folder)
    edit(folder / "postmortem.toml", 'lesson = "look"', 'lesson = "do not"')
    return "studies/d01-postmortem/ledger.jsonl", len(records(folder)), "D01"


def pinned_copy(root: Path) -> Expected:
    folder, line = appended(root, "open", "d01-copy", "import", imported())
    edit(folder / COPY, "{}", "{ }")
    return "studies/d01-copy/ledger.jsonl", line, "D01"


# D02 ------------------------------------------------------------------------------------------------------------------


def run_unsealed(root: Path) -> Expected:
    folder = copied(root, "draft", "d02-run")
    Writer(folder / FILE).append("run.started", {"seal": "0" * 64})
    return "studies/d02-run/ledger.jsonl", 1, "D02"


def decision_unsealed(root: Path) -> Expected:
    folder = copied(root, "draft", "d02-decision")
    for name in ("decision.json", "trap_results.json"):
        text = (root / "studies" / "gate" / name).read_text().replace('"gate"', '"draft"')
        (folder / name).write_text(text)
    return "studies/d02-decision/decision.json", 1, "D02"


def other_seal(root: Path) -> Expected:
    body = {"run": "r", "key": {"seal": "1" * 64, "rung": "items", "arm": "a", "cell": "c", "seed": 1}, "attempt": 1}
    _, line = appended(root, "gate", "d02-other", "cell.started", body)
    return "studies/d02-other/ledger.jsonl", line, "D02"


# D03 ------------------------------------------------------------------------------------------------------------------


def run_first(root: Path) -> Expected:
    folder = copied(root, "open", "d03-run")
    (sealed,) = records(folder)
    run = record("run.started", {"seal": sealed["body"]["seal"]})
    rewritten(folder, [run, sealed])
    return "studies/d03-run/ledger.jsonl", 1, "D03"


def import_first(root: Path) -> Expected:
    folder = copied(root, "open", "d03-import")
    (folder / COPY).write_text("{}\n")
    rewritten(folder, [record("import", imported()), *records(folder)])
    return "studies/d03-import/ledger.jsonl", 1, "D03"


def made_first(root: Path) -> Expected:
    _, line = appended(root, "open", "d03-made", "import", imported(made="2020-01-01T00:00:00Z"))
    return "studies/d03-made/ledger.jsonl", line, "D03"


def sealed_import(root: Path) -> Expected:
    data = digest(root / "studies" / "open" / "items.csv", 64)
    _, line = appended(root, "open", "d03-sealed", "import", imported(file="items.csv", data=data))
    return "studies/d03-sealed/ledger.jsonl", line, "D03"


# D04 ------------------------------------------------------------------------------------------------------------------


def other_claim(root: Path) -> Expected:
    row = {
        "claim": "somebody", "rung": "items", "cell": "all", "attempt": 1, "kind": "actual", "currency": "USD",
        "amount_micro": 5, "rate_id": "hand", "quantity": 1, "unit": "request", "evidence": "a bill",
    }  # fmt: skip
    _, line = appended(root, "gate", "d04-spend", "spend", row)
    return "studies/d04-spend/ledger.jsonl", line, "D04"


def other_seal_spend(root: Path) -> Expected:
    row = {
        "claim": "gate", "rung": "items", "cell": "all", "attempt": 1, "kind": "actual", "currency": "USD",
        "amount_micro": 5, "rate_id": "hand", "quantity": 1, "unit": "request", "evidence": "a bill", "seal": "2" * 64,
    }  # fmt: skip
    _, line = appended(root, "gate", "d04-seal", "spend", row)
    return "studies/d04-seal/ledger.jsonl", line, "D04"


def edited_decision(root: Path) -> Expected:
    edit(copied(root, "gate", "d05-edited") / "decision.json", '"requests": 44', '"requests": 4')
    return "studies/d05-edited/decision.json", 1, "D05"


def verdictless_decision(root: Path) -> Expected:
    edit(copied(root, "dead", "d05-other") / "decision.json", '"KILLED"', '"SURVIVED"')
    return "studies/d05-other/decision.json", 1, "D05"


def copied_decision(root: Path) -> Expected:
    shutil.copy(root / "studies" / "dead" / "decision.json", copied(root, "gate", "d04-copied"))
    return "studies/d04-copied/decision.json", 1, "D04"


# D05, D06, D07 --------------------------------------------------------------------------------------------------------


def undecided(root: Path) -> Expected:
    folder = copied(root, "open", "d05-decision")
    text = json.loads((root / "studies" / "gate" / "decision.json").read_text())
    (sealed,) = records(folder)
    (folder / "decision.json").write_text(json.dumps({**text, "claim": "open", "seal": sealed["body"]["seal"]}))
    return "studies/d05-decision/decision.json", 1, "D05"


def claimless(study: str, to: str, *kept: str) -> Plant:
    """A folder in which a climb left these files, and nobody the claim."""

    def planted(root: Path) -> Expected:
        folder = root / "studies" / to
        folder.mkdir()
        for name in kept:
            shutil.copy(root / "studies" / study / name, folder)
        return f"studies/{to}/{kept[0]}", 1, "D06"

    return planted


def evidence(to: str, code: str, entry: str, constraint: str = "care") -> Plant:
    """A draft whose claim names evidence."""

    def planted(root: Path) -> Expected:
        folder = copied(root, "draft", to)
        with open(folder / "claim.toml", "a", encoding="utf-8") as text:
            text.write(EVIDENCE.replace('"care"', f'"{constraint}"') + entry + "\n")
        line = (folder / "claim.toml").read_text().splitlines().index("[[evidence]]") + 1
        return f"studies/{to}/claim.toml", line, code

    return planted


def required(root: Path) -> Expected:
    with open(root / "tollens.toml", "a", encoding="utf-8") as text:
        text.write(
            '\n[[constraint]]\nid = "vain"\ntrigger = "touches in {kv}"\nmechanism = "m"\nrequire = ["survived:dead"]\n'
        )
    return "tollens.toml", 8, "D07"


# D12 ------------------------------------------------------------------------------------------------------------------


def resummed(to: str, changed: Callable[[list[dict[str, Any]]], int]) -> Plant:
    """A copy of a decided study whose records were changed, its chain made valid again."""

    def planted(root: Path) -> Expected:
        folder = copied(root, "gate", to)
        rows = records(folder)
        line = changed(rows) + 1
        rewritten(folder, rows)
        decided = next(r["body"]["decision"] for r in rows if r["type"] == "verdict")
        (folder / "decision.json").write_text(json.dumps(decided))
        return f"studies/{to}/ledger.jsonl", line, "D12"

    return planted


def _actual(rows: list[dict[str, Any]]) -> int:
    return next(n for n, r in enumerate(rows) if r["type"] == "spend" and r["body"]["kind"] == "actual")


def amount(rows: list[dict[str, Any]]) -> int:
    at = _actual(rows)
    rows[at]["body"]["amount_micro"] = 7
    next(r for r in rows if r["type"] == "verdict")["body"]["decision"]["spent"]["usd_micro"] = 7
    return at


def quantity(rows: list[dict[str, Any]]) -> int:
    at = _actual(rows)
    rows[at]["body"]["quantity"] += 1
    return at


def stated(rows: list[dict[str, Any]]) -> int:
    at = next(n for n, r in enumerate(rows) if r["type"] == "verdict")
    rows[at]["body"]["decision"]["spent"]["usd_micro"] = 9
    return at


def dear_postmortem(root: Path) -> Expected:
    folder = copied(root, "dead", "d12-postmortem")
    seal = records(folder)[0]["body"]["seal"]
    (folder / "postmortem.toml").write_text(
        f'claim = "dead"\nseal = "{seal}"\nobstacle = "OTHER"\n\n[cost]\nseconds = 1\nmicro = {{ USD = 12 }}\n'
    )
    return "studies/d12-postmortem/postmortem.toml", 1, "D12"


@dataclass(frozen=True)
class Twins:
    """The repository with its defects, and the same without."""

    planted: Path
    clean: Path
    expected: tuple[Expected, ...]


def killed(text: str) -> Callable[[Path], str]:
    return lambda root: text.format(n=number(root, "dead"))


PLANTS: tuple[Plant, ...] = (
    edited, inclusion, gone, chain, seal_file, pinned, pinned_copy,
    run_unsealed, decision_unsealed, other_seal,
    run_first, import_first, made_first, sealed_import,
    other_claim, copied_decision,
    paper("d04.md", lambda root: "It is 5.0<!--t:nobody.accuracy_diff unit=pp from=0123456789ab-->.", "D04"),
    paper("d05-unknown.md", lambda root: "As is <!--t:cite nobody as=survived-->known.", "D05"),
    paper("d05-unsure.md", lambda root: "\nAs was <!--t:cite unsure as=survived-->shown.", "D05", 2),
    paper("d05-open.tex", lambda root: "As was shown\n% t:cite open as=live\n", "D05", 2),
    undecided,
    claimless("gate", "d06-decision", "decision.json", "trap_results.json"),
    claimless("gate", "d06-traps", "trap_results.json"),
    evidence("d06-constraint", "D06", 'study = "../gate"', "nobodys"),
    evidence("d06-import", "D06", f'imported = "{"ef" * 32}"'),
    paper("d07-live.md", lambda root: "We know <!--t:cite dead-->that.", "D07"),
    paper("d07-number.md", killed("It cost {n}."), "D07"),
    evidence("d07-evidence", "D07", 'study = "../dead"'),
    required,
    paper("d08-from.md", lambda root: number(root, "cited", of="0123456789ab"), "D08"),
    paper("d08-digits.md", lambda root: number(root, "cited", digits="-7.5"), "D08"),
    paper("d08.tex", lambda root: "% a text\n\\tnum{cited.accuracy\\_diff}{-7.5}{pp}", "D08", 2),
    paper("d09.md", lambda root: number(root, "cited", of=""), "D09"),
    paper("d09.tex", lambda root: f"\\tnum{{cited.accuracy_diff}}{{{value(root, 'cited'):.2f}}}{{pp}}", "D09"),
    paper("d09-cells.md", lambda root: "on 2<!--t:cited.cells unit=count--> seeds", "D09"),
    paper("d10-unit.md", lambda root: number(root, "cited", unit="%"), "D10"),
    paper("d10-factor.md", lambda root: number(root, "cited", digits=f"{value(root, 'cited') / 100:.2f}"), "D10"),
    paper("d10-cut.md", lambda root: f"{cut(root)} s<!--t:cited.seconds unit=s from={source(root, 'cited')}-->", "D10"),
    paper("d11-data.md", lambda root: "<!--t:figure loss.svg data=loss.csv from=0123456789ab-->", "D11"),
    paper("d11-study.md", lambda root: "<!--t:figure loss.svg data=cited from=0123456789ab-->", "D11"),
    paper("d11-gone.tex", lambda root: "% t:figure lost.svg data=loss.csv from=0123456789ab", "D11"),
    resummed("d12-amount", amount), resummed("d12-quantity", quantity), resummed("d12-stated", stated),
    dear_postmortem,
)  # fmt: skip
