"""The attacks on what the peers seal, each used as its own documentation says, with its strongest setting."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.seal_cell import (
    Case,
    Said,
    Step,
    command,
    commit,
    new_history,
    publish,
    remove,
    replace,
    sure,
    with_crlf,
)

State = Callable[[str, Path, Callable[[str], Path], dict[str, str]], None]

# prereg: a plan in text, its hash, and what git and OpenTimestamps hold. The calendars need a network: not asked.
PLAN = """# int8 keeps the accuracy

## Research questions or hypotheses
accuracy(int8) - accuracy(float32) >= -0.5 points. Seeds: 1, 2, 3. Data: data.csv.

## Analysis plan
The mean over seeds. A run that crashed is left out.
"""
STAGE = ("git", "add", "-A")
PREREG_CHECK: tuple[Step, ...] = (("prereg", "check"), STAGE, ("prereg", "check", "--staged"))
PREREG_READER: tuple[Step, ...] = (("git", "reset", "-q", "--soft", "origin/main"), *PREREG_CHECK)
PREREG_LOOSER = replace("PREREG.md", "-0.5 points", "-5 points")


def prereg_state(state: str, folder: Path, before: Callable[[str], Path], environment: dict[str, str]) -> None:
    if state == "fresh":
        (folder / "PREREG.md").write_text(PLAN)
        new_history(folder)
        return
    shutil.copytree(
        before({"sealed": "fresh", "decided": "sealed", "published": "decided"}[state]),
        folder,
        dirs_exist_ok=True,
        symlinks=True,
    )
    if state == "sealed":
        sure(folder, ["prereg", "freeze"], environment)
        commit(folder)
    elif state == "decided":
        (folder / ".results").mkdir()
        (folder / ".results" / "ledger.jsonl").write_text('{"event": "access", "level": "outcomes seen"}\n')
        sure(folder, ["prereg", "log", "the runs are read", "--access", "results seen"], environment)
        commit(folder)
    else:
        publish(folder)


def _prereg_rewritten(folder: Path) -> None:
    PREREG_LOOSER(folder)
    path = folder / ".prereg" / "PREREG.md.json"
    record = json.loads(path.read_text())
    was, now = record["sha256"], hashlib.sha256((folder / "PREREG.md").read_bytes()).hexdigest()
    path.write_text(json.dumps(record | {"sha256": now}, indent=2) + "\n")
    log = folder / "PREREG.log"
    if not log.is_file():
        return
    lines, link = [], now
    for line in log.read_text().splitlines():
        body = line.rpartition("·")[0]
        lines.append(f"{body}·{link}")
        link = hashlib.sha256(lines[-1].encode()).hexdigest()
    log.write_text("\n".join(lines) + "\n")
    head = folder / "PREREG.log.head"
    head.write_text(head.read_text().replace(was, now))


def _prereg_amendment(level: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        path = folder / "PREREG_AMENDMENT_1.md"
        text = path.read_text()
        filled = []
        for line in text.splitlines():
            if line.startswith("**Access level:**"):
                filled.append(f"**Access level:** {level}")
            elif line.startswith("_") and line.endswith("_"):
                filled.append("The bound is looser: -5 points.")
            else:
                filled.append(line)
        path.write_text("\n".join(filled) + "\n")
        commit(folder)

    return fill


def _commits(folder: Path) -> None:
    commit(folder)


FREEZE_AGAIN: tuple[Step, ...] = (("prereg", "freeze"), STAGE)
AMEND: tuple[Step, ...] = (("prereg", "amend"),)
PREREG: dict[str, Case | None] = {
    "edit": Case("sealed", (PREREG_LOOSER, *PREREG_CHECK)),
    "again": Case(
        "sealed", (PREREG_LOOSER, _commits, ("prereg", "freeze", "--force", "--access", "nothing run")),
        (PREREG_LOOSER, _commits, ("prereg", "freeze")), "fresh",
    ),
    "deleted": Case(
        "sealed", (PREREG_LOOSER, remove(".prereg"), new_history, *FREEZE_AGAIN, _commits, *PREREG_CHECK), PREREG_CHECK
    ),
    "rewritten": Case("sealed", (_prereg_rewritten, new_history, *PREREG_CHECK), PREREG_CHECK),
    "deleted, published": Case(
        "published",
        (
            PREREG_LOOSER, remove(".prereg", "PREREG.log", "PREREG.log.head", ".results"), _commits, *FREEZE_AGAIN,
            _commits, *PREREG_READER,
        ),
        PREREG_READER,
    ),
    "rewritten, published": Case(
        "published",
        (_prereg_rewritten, remove("PREREG.log", "PREREG.log.head"), _commits, *PREREG_READER),
        PREREG_READER,
    ),
    "reversed": None,
    "code": None,
    "seed": Case("sealed", (replace("PREREG.md", "1, 2, 3", "1, 2"), *PREREG_CHECK)),
    "key": Case("sealed", (replace("PREREG.md", " A run that crashed is left out.", ""), *PREREG_CHECK)),
    "nan": None,
    "support": None,
    "data": None,
    "reducer": Case("sealed", (replace("PREREG.md", "The mean", "The median"), *PREREG_CHECK)),
    "access": Case(
        "decided", (*AMEND, _prereg_amendment("nothing run"), ("prereg", "freeze", "PREREG_AMENDMENT_1.md")),
        (*AMEND, _prereg_amendment("results seen"), ("prereg", "freeze", "PREREG_AMENDMENT_1.md")),
    ),
    "typed": None,
    "crlf": Case("published", (with_crlf, *PREREG_CHECK)),
}  # fmt: skip

# falsify: a manifest, its hash, and a value that is handed in; strongest with --dataset and --expected-hash.
ROWS = "id,predicted,actual\n" + "".join(f"{k},{k % 3},{k % 3 if k % 10 else 9}\n" for k in range(1, 41))
MANIFEST = """version: prml/0.1
claim_id: 01900000-0000-7000-8000-000000000000
created_at: "2026-01-01T00:00:00Z"
metric: accuracy
comparator: ">="
threshold: 0.85
metric_args: {{reducer: mean}}
notes: a run that crashed is left out
dataset:
  id: digits
  hash: {digest}
seed: 42
producer:
  id: example.org
"""
SPEC = "claim.prml.yaml"
FALSIFY_LOCK: Step = ("falsify", "lock", SPEC)
OBSERVED = "0.9"
FALSIFY_LOOSER = replace(SPEC, "threshold: 0.85", "threshold: 0.5")


def _verify(observed: str = OBSERVED) -> Step:
    return ("falsify", "verify", SPEC, "--observed", observed, "--dataset", "data.csv")


def _against_published(environment: dict[str, str]) -> Step:
    return lambda folder: command(
        folder, [*_verify(), "--expected-hash", (folder / "published.txt").read_text().strip()], environment
    )


def falsify_state(state: str, folder: Path, before: Callable[[str], Path], environment: dict[str, str]) -> None:
    if state == "fresh":
        (folder / "data.csv").write_text(ROWS)
        (folder / SPEC).write_text(MANIFEST.format(digest=hashlib.sha256(ROWS.encode()).hexdigest()))
        new_history(folder)
        return
    shutil.copytree(
        before({"sealed": "fresh", "decided": "sealed", "published": "sealed"}[state]),
        folder,
        dirs_exist_ok=True,
        symlinks=True,
    )
    if state == "sealed":
        sure(folder, ["falsify", "lock", SPEC], environment)
    elif state == "published":
        (folder / "published.txt").write_text(command(folder, ["falsify", "hash", SPEC], environment).text)
        publish(folder)


def _falsify_rewritten(environment: dict[str, str]) -> Step:
    def rewrite(folder: Path) -> None:
        FALSIFY_LOOSER(folder)
        digest = command(folder, ["falsify", "hash", SPEC], environment).text
        (folder / "claim.prml.prml.sha256").unlink(missing_ok=True)
        for sidecar in folder.glob("*.prml.sha256"):
            sidecar.write_text(digest)
        if not list(folder.glob("*.prml.sha256")):
            (folder / "claim.prml.prml.sha256").write_text(digest)

    return rewrite


def _flip(path: str) -> Step:
    return replace(path, "7,1,1", "7,1,2")


def falsify_cases(environment: dict[str, str]) -> dict[str, Case | None]:
    published = _against_published(environment)
    return {
        "edit": Case("sealed", (FALSIFY_LOOSER, _verify())),
        "again": Case("sealed", (FALSIFY_LOOSER, FALSIFY_LOCK), (FALSIFY_LOOSER, FALSIFY_LOCK), "fresh"),
        "deleted": Case(
            "sealed", (FALSIFY_LOOSER, remove("claim.prml.prml.sha256"), FALSIFY_LOCK, _verify()), (_verify(),)
        ),
        "rewritten": Case("sealed", (_falsify_rewritten(environment), new_history, _verify())),
        "deleted, published": Case(
            "published", (FALSIFY_LOOSER, remove("claim.prml.prml.sha256"), FALSIFY_LOCK, published), (published,)
        ),
        "rewritten, published": Case("published", (_falsify_rewritten(environment), published), (published,)),
        "reversed": Case(
            "fresh", (replace(SPEC, '">="', '"<="'), FALSIFY_LOCK, _verify("0.4")), (FALSIFY_LOCK, _verify())
        ),
        "code": None,
        "seed": Case("sealed", (replace(SPEC, "seed: 42", "seed: null"), _verify())),
        "key": Case("sealed", (replace(SPEC, "notes: a run that crashed is left out\n", ""), _verify())),
        "nan": Case("sealed", (_verify("nan"),), (_verify(),)),
        "support": Case("sealed", (_verify("1.7"),), (_verify(),)),
        "data": Case("sealed", (_flip("data.csv"), _verify())),
        "reducer": Case("sealed", (replace(SPEC, "reducer: mean", "reducer: max"), _verify())),
        "access": None,
        "typed": Case("sealed", (_verify("0.99"),), (_verify(),)),
        "crlf": Case("published", (with_crlf, _verify())),
    }


# falsify-engine: a claim, its hash, and a metric function that it calls itself.
CLAIM = ".falsify/accuracy/spec.yaml"
CODE = "claims/accuracy/metric.py"
ENGINE_RUN: tuple[Step, ...] = (("falsify-engine", "run", "accuracy"), ("falsify-engine", "verdict", "accuracy"))
ENGINE_LOCK: Step = ("falsify-engine", "lock", "accuracy")
ENGINE_LOOSER = replace(CLAIM, "threshold: 0.80", "threshold: 0.50")


def engine_state(state: str, folder: Path, before: Callable[[str], Path], environment: dict[str, str]) -> None:
    if state == "fresh":
        sure(folder, ["falsify-engine", "init", "--template", "accuracy"], environment)
        new_history(folder)
        return
    shutil.copytree(
        before({"sealed": "fresh", "decided": "sealed", "published": "decided"}[state]),
        folder,
        dirs_exist_ok=True,
        symlinks=True,
    )
    if state == "sealed":
        sure(folder, ["falsify-engine", "lock", "accuracy"], environment)
    elif state == "decided":
        sure(folder, ["falsify-engine", "run", "accuracy"], environment)
        sure(folder, ["falsify-engine", "verdict", "accuracy"], environment)
    else:
        publish(folder)


def _engine_rewritten(environment: dict[str, str]) -> Step:
    def rewrite(folder: Path) -> None:
        ENGINE_LOOSER(folder)
        path = folder / ".falsify/accuracy/spec.lock.json"
        lock = json.loads(path.read_text())
        text = lock["canonical_yaml"].replace("threshold: 0.8", "threshold: 0.5")
        made = lock | {"canonical_yaml": text, "spec_hash": hashlib.sha256(text.encode()).hexdigest()}
        path.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n")

    return rewrite


def _better_data(folder: Path) -> None:
    """Correct the predictions that were wrong."""
    path = folder / "claims/accuracy/data.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("".join(f"{k},{actual if k != 'id' else said},{actual}\n" for k, said, actual in rows))


def _replay(environment: dict[str, str]) -> Step:
    """Run the metric of the stored run again, as `falsify-engine replay` does."""

    def again(folder: Path) -> Said:
        stored = sorted(path.name for path in (folder / ".falsify/accuracy/runs").iterdir())[-1]
        return command(folder, ["falsify-engine", "replay", stored], environment)

    return again


def engine_cases(environment: dict[str, str]) -> dict[str, Case | None]:
    again: tuple[Step, ...] = (ENGINE_LOOSER, remove(".falsify/accuracy/spec.lock.json"), ENGINE_LOCK, *ENGINE_RUN)
    value = "return correct / len(rows), len(rows)"
    before = (ENGINE_LOCK, *ENGINE_RUN)
    replay = _replay(environment)
    return {
        "edit": Case("sealed", (ENGINE_LOOSER, *ENGINE_RUN)),
        "again": Case(
            "sealed", (ENGINE_LOOSER, ("falsify-engine", "lock", "--force", "accuracy"), *ENGINE_RUN),
            (ENGINE_LOOSER, ENGINE_LOCK, *ENGINE_RUN), "fresh",
        ),
        "deleted": Case("sealed", again, ENGINE_RUN),
        "rewritten": Case("decided", (_engine_rewritten(environment), new_history, *ENGINE_RUN)),
        "deleted, published": Case("published", (*again[:-2], _commits, *ENGINE_RUN), ENGINE_RUN),
        "rewritten, published": Case("published", (_engine_rewritten(environment), _commits, *ENGINE_RUN)),
        "reversed": Case("fresh", (replace(CLAIM, "direction: above", "direction: below"), replace(
            CODE, value, "return 1 - correct / len(rows), len(rows)"), *before)),
        "code": Case("fresh", (replace(
            CLAIM, '"echo ready"', f"\"sh -c 'echo correct=0 >> {CODE}'\""), *before), before),
        "seed": None,
        "key": Case("sealed", (replace(CLAIM, '  stopping_rule: "fixed-n"\n', ""), *ENGINE_RUN)),
        "nan": Case("fresh", (replace(CODE, value, 'return float("nan"), len(rows)'), *before)),
        "support": Case("fresh", (replace(CODE, value, "return 1.7, len(rows)"), *before)),
        "data": Case("decided", (_better_data, replay), (replay,)),
        "reducer": Case(
            "decided",
            (replace(CODE, value, "return max(r['predicted'] == r['actual'] for r in rows) * 1.0, len(rows)"), replay),
            (replay,),
        ),
        "access": None,
        "typed": Case("sealed", (("falsify-engine", "run", "accuracy"),
            ("falsify-engine", "verdict", "accuracy", "--observed", "0.99")), ENGINE_RUN),
        "crlf": Case("published", (with_crlf, *ENGINE_RUN)),
    }  # fmt: skip


# preregister: predictions in YAML, a chained ledger, runs that are linked, and an anchor to be published.
YAML = """study: digits
conditions:
  float32: {role: control, config: {bits: 32}}
  int8: {role: treatment, config: {bits: 8}}
metrics:
  accuracy: {version: "1", higher_is_better: true, description: percent read rightly}
predictions:
  - id: P1
    hypothesis: int8 loses at most half a point
    metric: accuracy
    comparison: "int8 - float32 > -0.5"
    min_effect: 0.5
    stopping_rule: exactly 5 seeds per condition
    notes: crashed runs are left out
    analysis: {test: bootstrap, aggregation: mean, alpha: 0.05, n_seeds: 5}
    gates:
      - {type: MinSeeds, n: 5}
      - {type: ControlPresent}
"""
REGISTER: tuple[Step, ...] = (("preregister", "register"), ("preregister", "gate"))
LINK: tuple[Step, ...] = (("preregister", "link", "--json", "runs.json"), ("preregister", "analyze"))
CHECK: tuple[Step, ...] = (("preregister", "verify"),)
READER: tuple[Step, ...] = (("git", "checkout", "-q", "origin/main", "--", ".prereg/anchors.txt"), *CHECK)
LOOSER = replace("prereg.yaml", "> -0.5", "> -5")
INIT: Step = ("preregister", "init")


def runs(change: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda run: run) -> Step:
    """Write the runs, each as `change` has it."""

    def write(folder: Path) -> None:
        made = []
        for condition in ("float32", "int8"):
            for seed in range(5):
                value = 80 + seed / 10 + (0.2 if condition == "int8" else 0)
                made.append({
                    "run_id": f"{condition}-{seed}", "condition": condition, "seed": seed, "status": "finished",
                    "metrics": {"accuracy": value}, "metric_versions": {"accuracy": "1"},
                    "started_at": datetime.now(UTC).isoformat(),
                })  # fmt: skip
        changed = [change(run) for run in made]
        (folder / "runs.json").write_text(json.dumps([run for run in changed if run is not None]))

    return write


def _treated(value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda run: run | ({"metrics": {"accuracy": value}} if run["condition"] == "int8" else {})


def preregister_state(state: str, folder: Path, before: Callable[[str], Path], environment: dict[str, str]) -> None:
    if state == "fresh":
        sure(folder, ["preregister", "init"], environment)
        (folder / "prereg.yaml").write_text(YAML)
        new_history(folder)
        return
    shutil.copytree(
        before({"sealed": "fresh", "decided": "sealed", "published": "decided"}[state]),
        folder,
        dirs_exist_ok=True,
        symlinks=True,
    )
    if state == "sealed":
        sure(folder, ["preregister", "register"], environment)
        sure(folder, ["preregister", "gate"], environment)
    elif state == "decided":
        runs()(folder)  # type: ignore[operator]
        sure(folder, ["preregister", "link", "--json", "runs.json"], environment)
        sure(folder, ["preregister", "analyze"], environment)
        sure(folder, ["preregister", "anchor"], environment)
    else:
        publish(folder)
        sure(folder, ["preregister", "anchor", "--commit"], environment)
        sure(folder, ["git", "push", "-q"], environment)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _preregister_rewritten(folder: Path) -> None:
    LOOSER(folder)
    path, renamed, lines = folder / ".prereg/ledger.jsonl", {}, []
    for line in path.read_text().splitlines():
        for was, now in renamed.items():
            line = line.replace(was, now)
        record = json.loads(line)
        old = record["hash"]
        if record["kind"] == "register":
            frozen = record["payload"]["frozen"]
            frozen["prediction"]["comparison"] = "int8 - float32 > -5"
            renamed[record["payload"]["prediction_hash"]] = _hash(frozen)
            record["payload"]["prediction_hash"] = _hash(frozen)
        record["payload_hash"] = _hash(record["payload"])
        record["hash"] = _hash({key: value for key, value in record.items() if key not in ("payload", "hash")})
        renamed[old] = record["hash"]
        lines.append(json.dumps(record, sort_keys=True))
    path.write_text("\n".join(lines) + "\n")
    anchors = folder / ".prereg/anchors.txt"
    if anchors.exists():
        text = anchors.read_text()
        for was, now in renamed.items():
            text = text.replace(was, now)
        anchors.write_text(text)


HONEST = runs()
PREREGISTER: dict[str, Case | None] = {
    "edit": Case("sealed", (LOOSER, *CHECK)),
    "again": Case("sealed", (LOOSER, *REGISTER), (LOOSER, *REGISTER), "fresh"),
    "deleted": Case("sealed", (LOOSER, remove(".prereg"), INIT, *REGISTER, *CHECK), CHECK),
    "rewritten": Case("decided", (_preregister_rewritten, new_history, *CHECK), CHECK),
    "deleted, published": Case("published", (LOOSER, remove(".prereg"), INIT, *REGISTER, _commits, *READER), READER),
    "rewritten, published": Case("published", (_preregister_rewritten, _commits, *READER), READER),
    "reversed": Case("fresh", (replace("prereg.yaml", "better: true", "better: false"), *REGISTER, *CHECK)),
    "code": None,
    "seed": Case("sealed", (runs(lambda run: None if run["seed"] == 4 else run), *LINK), (HONEST, *LINK)),
    "key": Case("sealed", (replace("prereg.yaml", "    notes: crashed runs are left out\n", ""), *CHECK)),
    "nan": Case("sealed", (runs(_treated(float("nan"))), *LINK), (HONEST, *LINK)),
    "support": Case("sealed", (runs(_treated(1e9)), *LINK), (HONEST, *LINK)),
    "data": None,
    "reducer": Case("sealed", (replace("prereg.yaml", "aggregation: mean", "aggregation: median"), *CHECK)),
    "access": Case(
        "decided",
        (LOOSER, ("preregister", "amend", "P1", "--reason", "a looser bound"), ("preregister", "gate"),
         ("preregister", "analyze")),
        (LOOSER, ("preregister", "amend", "P1", "--reason", "a looser bound"), ("preregister", "gate"), HONEST, *LINK),
        "sealed",
    ),
    "typed": Case("sealed", (runs(_treated(99.0)), *LINK), (HONEST, *LINK)),
    "crlf": Case("published", (with_crlf, *CHECK)),
}  # fmt: skip
