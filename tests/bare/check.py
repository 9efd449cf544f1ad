"""The product without any extra: run by a Python in which only the base install is present.

    python3 -m venv bare && bare/bin/pip install -e . && bare/bin/python -W error tests/bare/check.py

No pytest here, since it is one of the extras.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

IMPORT_SECONDS, HELP_SECONDS, SELFTEST_SECONDS = 0.3, 0.4, 60.0
EXTRAS = ("altair", "vl_convert", "rfc3161_client", "fsspec", "gguf", "torch", "pytest", "weightwatcher", "sklearn")
TOLLENS = str(Path(sys.executable).parent / "tollens")
QUIET = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}


def run(*command: str, cwd: str | None = None, env: dict[str, str] = QUIET) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env, cwd=cwd)


def best_of_three(*command: str) -> float:
    def once() -> float:
        begin = time.perf_counter()
        found = run(*command)
        assert found.returncode == 0, found.stderr
        return time.perf_counter() - begin

    once()  # the first one compiles and fills the disk cache
    return min(once() for _ in range(3))


def bundled(name: str) -> str:
    where = importlib.util.find_spec("tollens.demo")
    assert where is not None
    assert where.origin is not None
    return str(Path(where.origin).parent / name)


def no_extra_is_here() -> str:
    present = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not present, f"installed beside the base: {present}"
    return f"none of {', '.join(EXTRAS)}"


def import_is_light_and_fast() -> str:
    seen = run(sys.executable, "-c", "import sys, tollens; print(*sorted({'numpy', 'scipy'} & set(sys.modules)))")
    assert seen.stdout.split() == [], f"import tollens loads {seen.stdout}"
    bare = best_of_three(sys.executable, "-c", "pass")
    took = best_of_three(sys.executable, "-c", "import tollens")
    assert took < IMPORT_SECONDS, f"{took:.3f} s"
    return f"{took:.3f} s, of which {bare:.3f} s are the interpreter's"


def help_is_fast() -> str:
    took = best_of_three(TOLLENS, "--help")
    assert took < HELP_SECONDS, f"{took:.3f} s"
    return f"{took:.3f} s"


def the_demonstration_runs() -> str:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        shown = run(TOLLENS, "demo", cwd=folder)
        took = time.perf_counter() - begin
        left = os.listdir(folder)
    assert (shown.returncode, shown.stderr) == (0, ""), f"exit {shown.returncode}: {shown.stderr}"
    board = shown.stdout[shown.stdout.index("Scoreboard") :]
    verdicts = [line.split()[0] for line in board.splitlines() if line.startswith(("KILLED", "SURVIVED"))]
    assert verdicts == [*["KILLED"] * 5, "SURVIVED", "KILLED", "KILLED", "SURVIVED"], verdicts
    words = " ".join(shown.stdout.split())  # a line may break anywhere
    assert "claim.value sealed '-0.5'" in words, "the edited study was not refused"
    assert "pip install 'tollens[report]'" in board, "the install command is missing"
    assert left == [], f"files left behind: {left}"
    return f"{took:.1f} s"


def a_scan_gives_json() -> str:
    found = run(TOLLENS, "scan", bundled("trapped.safetensors"), "--json")
    assert (found.returncode, found.stderr) == (1, ""), f"exit {found.returncode}: {found.stderr}"
    report = json.loads(found.stdout)
    assert report["schema"] == "tollens.scan/1"
    findings = [(f["code"], f["layer"], f["cause"]) for f in report["findings"]]
    assert findings == [("trap", "layers.1.weight", "entry")], findings
    return report["headline"]


def the_screen_and_the_table_need_no_extra() -> str:
    for form in ("--all", "--csv", "--quiet"):
        found = run(TOLLENS, "scan", bundled("good.safetensors"), form)
        assert (found.returncode, found.stderr) == (0, ""), f"{form}: {found.stderr}"
    return "--all, --csv, --quiet"


def html_names_its_extra() -> str:
    with tempfile.TemporaryDirectory() as folder:
        found = run(TOLLENS, "scan", bundled("good.safetensors"), "--html", "report.html", cwd=folder)
        left = os.listdir(folder)
    assert (found.returncode, found.stdout, left) == (2, "", []), f"exit {found.returncode}, left {left}"
    assert found.stderr.startswith("extra_missing: "), found.stderr
    assert "pip install 'tollens[report]'" in found.stderr, found.stderr
    return "exit 2"


def every_known_answer_holds() -> str:
    with tempfile.TemporaryDirectory() as folder:
        cache = {**QUIET, "TOLLENS_CACHE": folder}
        begin = time.perf_counter()
        found = run(TOLLENS, "selftest", "--json", env=cache)
        took = time.perf_counter() - begin
        assert (found.returncode, found.stderr) == (0, ""), f"exit {found.returncode}: {found.stderr}"
        doctor = run(TOLLENS, "doctor", "--json", env=cache)
    certificate = json.loads(found.stdout)
    assert certificate["passed"]
    assert took < SELFTEST_SECONDS, f"{took:.1f} s"
    assert json.loads(doctor.stdout)["certificate"]["state"] == "valid", doctor.stdout
    return f"{certificate['headline']}, {took:.1f} s"


def numbers_that_cannot_be_true_need_no_extra() -> str:
    found = run(TOLLENS, "lint", bundled("claims.toml"), "--quiet")
    assert (found.returncode, found.stderr) == (1, ""), f"exit {found.returncode}: {found.stderr}"
    assert found.stdout.startswith("FINDINGS  10 claims: 9 refuted"), found.stdout
    return found.stdout.strip()


def questions_of_statistics_need_no_extra() -> str:
    found = run(TOLLENS, "stats", "power", "paired", "--effect", "0.5", "--power", "0.8", "--quiet")
    assert (found.returncode, found.stderr) == (0, ""), f"exit {found.returncode}: {found.stderr}"
    assert found.stdout.startswith("34 pairs"), found.stdout
    return found.stdout.strip()


CHECKS: tuple[Callable[[], str], ...] = (
    no_extra_is_here, import_is_light_and_fast, help_is_fast, the_demonstration_runs, a_scan_gives_json,
    the_screen_and_the_table_need_no_extra, html_names_its_extra, every_known_answer_holds,
    numbers_that_cannot_be_true_need_no_extra, questions_of_statistics_need_no_extra,
)  # fmt: skip


def main() -> int:
    failed = 0
    for check in CHECKS:
        title = check.__name__.replace("_", " ")
        try:
            print(f"ok    {title}: {check()}")
        except AssertionError as error:
            failed += 1
            print(f"FAIL  {title}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
