from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tollens.core.errors import Exit, TollensError
from tollens.core.seeding import generator
from tollens.run.metric_process import Limits, MetricProcess

LIMITS = Limits(seconds=10.0, mebibytes=512)
SIMPLE = "def produce(arm, cell, rng):\n    return rng\ndef metric(inputs):\n    return {'v': inputs.normal()}\n"
CELL: dict[str, str | int] = {"layer": "l3", "seed": 1}

Opened = Callable[..., MetricProcess]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def opened(source: str, limits: Limits = LIMITS) -> MetricProcess:
        (tmp_path / "metric.py").write_text(textwrap.dedent(source))
        return MetricProcess(tmp_path, limits=limits)

    return opened


def body(metric: str) -> str:
    """A metric.py whose `metric` has this body."""
    return f"import os, sys, time\ndef produce(arm, cell, rng):\n    return rng\ndef metric(inputs):\n    {metric}\n"


def failure(process: MetricProcess, cell: dict[str, str | int] = CELL) -> TollensError:
    with pytest.raises(TollensError) as caught:
        process.measure("a", cell, 1, names=("v",))
    return caught.value


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 4.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(alive, pids))


def test_a_value_is_what_the_same_generator_gives_here(opened: Opened) -> None:
    with opened(SIMPLE) as process:
        found = process.measure("a", CELL, 7, names=("v",))
    assert found == {"v": generator(7, "produce", "layer=l3", "seed=1").normal()}


def test_two_processes_and_two_orders_of_axes_give_the_same_value(opened: Opened) -> None:
    values = []
    for cell in (CELL, dict(reversed(CELL.items()))):
        with opened(SIMPLE) as process:
            values.append(process.measure("a", cell, 7, names=("v",)))
    assert values[0] == values[1]


def test_no_state_goes_from_one_cell_to_the_next(opened: Opened) -> None:
    source = (
        "n = 0\ndef produce(arm, cell, rng):\n    global n; n += 1; return n\ndef metric(x):\n    return {'v': x}\n"
    )
    with opened(source) as process:
        assert [process.measure("a", {"seed": s}, s, names=("v",)) for s in range(3)] == [{"v": 1}] * 3


def test_every_cell_of_a_draw_sees_the_same_null_and_another_draw_another(opened: Opened) -> None:
    source = """
        def null(rng): return rng.normal()
        def produce(arm, cell, rng): return arm
        def metric(inputs): return {"v": inputs}
    """
    with opened(source) as process:
        a, b, c = (process.measure(None, {"seed": s}, 5, d, names=("v",))["v"] for s, d in ((1, 0), (2, 0), (1, 1)))
    assert a == b == generator(5, "null", "0").normal()
    assert c != a


def test_the_file_is_described(opened: Opened) -> None:
    with opened("def metric(x): return {}\nnull = 3\nARMS = {'ideal': metric, 'worst': metric}\n") as process:
        assert process.describe().functions == ("metric",)
        assert process.describe().arms == ("ideal", "worst")
        assert "produce is missing" in failure(process).found


def test_numbers_keep_their_kind(opened: Opened) -> None:
    metric = "import numpy as np; from fractions import Fraction; return {'i': 3, 'b': 2**70, 'n': np.int8(4), "
    metric += "'f': np.float32(.5), 'l': np.longdouble(.25), 'q': Fraction(1, 8)}"
    with opened(body(metric)) as process:
        found = process.measure("a", CELL, 1, names=("q", "i", "b", "n", "f", "l"))
    assert found == {"q": 0.125, "i": 3, "b": 2**70, "n": 4, "f": 0.5, "l": 0.25}
    assert [type(value) for value in found.values()] == [float, int, int, int, float, float]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("return {'v': float('nan')}", "nan"),
        ("return {'v': float('-inf')}", "-inf"),
        ("import numpy as np; return {'v': np.float32('inf')}", "inf"),
        ("import numpy as np; return {'v': np.longdouble('nan')}", "nan"),
        ("from fractions import Fraction; return {'v': Fraction(10**400)}", "inf"),
        ("return {'w': 1.0}", "missing"),
    ],
)
def test_what_cannot_be_scored_is_named_with_its_cell(opened: Opened, metric: str, said: str) -> None:
    with opened(body(metric)) as process:
        error = failure(process)
    assert (error.code, error.exit_code) == ("not_scorable", Exit.NOT_SCORABLE)
    assert error.subject == f"NOT SCORABLE reading v is {said} in cell layer=l3, seed=1"


def test_a_value_that_nobody_asked_for_may_be_nan(opened: Opened) -> None:
    with opened(body("return {'v': 1.0, 'w': float('nan')}")) as process:
        assert process.measure("a", {}, 1, names=("v",)) == {"v": 1.0}


@pytest.mark.parametrize(
    ("metric", "code", "said"),
    [
        ("return 'x'", "metric_answer", "str returned by metric"),
        ("return None", "metric_answer", "NoneType"),
        ("return {'v': '0.5'}", "metric_answer", "v of type str"),
        ("return {'v': True}", "metric_answer", "v of type bool"),
        ("import numpy as np; return {'v': np.bool_(1)}", "metric_answer", "v of type bool"),
        ("return {'v': 1j}", "metric_answer", "v of type complex"),
        ("import numpy as np; return {'v': np.zeros(1)}", "metric_answer", "v of type ndarray"),
        ("return {1: 1.0}", "metric_answer", "a name of type int"),
        ("return {'v': 10**9999}", "metric_answer", "4300 digits"),
        ("return {'x' * (65 << 20): 1}", "metric_answer", "bytes"),
        (
            "raise ValueError('one\\n\\n' * 99)",
            "metric_raised",
            "ValueError: one\none\none\none\nin metric.py line 5 (metric)",
        ),
        ("sys.exit(0)", "metric_raised", "SystemExit: 0\nin metric.py line 5 (metric)"),
        ("raise KeyboardInterrupt", "metric_raised", "KeyboardInterrupt"),
        ("f = lambda: f(); f()", "metric_raised", "RecursionError"),
        ("os._exit(0)", "metric_died", "left with status 0"),
        ("os._exit(9)", "metric_died", "left with status 9"),
        ("os.closerange(0, 4096); return {'v': 1}", "metric_died", "left with status 0"),
        ("import ctypes; ctypes.string_at(0)", "metric_died", "SIGSEGV"),
        ("os.kill(os.getpid(), 15)", "metric_died", "SIGTERM"),
        ("os.kill(os.getpid(), 9)", "metric_memory", "killed"),
        ("x = bytearray(4 << 30); return {'v': 1}", "metric_memory", "MemoryError\nin metric.py line 5"),
        ("import numpy as np; x = np.ones(1 << 29); return {'v': 1}", "metric_memory", "MemoryError"),
        ("x = []\n    while True: x.append(bytes(1000))", "metric_memory", "MemoryError"),
        ("class E(Exception):\n        def __str__(self): raise self\n    raise E", "metric_died", "status 0"),
    ],
)
def test_one_bad_cell_ends_alone(opened: Opened, metric: str, code: str, said: str) -> None:
    source = (
        body(metric)
        .replace("return rng", "return cell['seed']")
        .replace("(inputs):\n", "(inputs):\n    if inputs: return {'v': inputs}\n")
    )
    said = said.replace("line 5", "line 6")
    with opened(source) as process:
        error = failure(process, {"seed": 0})
        assert (error.code, error.exit_code) == (code, Exit.BAD_INPUT)
        assert said in error.found
        assert len(error.found.splitlines()) <= 5
        assert process.measure("a", {"seed": 4}, 1, names=("v",)) == {"v": 4}


def test_a_loop_ends_with_everything_it_started(opened: Opened, tmp_path: Path) -> None:
    source = """
        import os, signal, subprocess, time
        def produce(arm, cell, rng):
            if cell["seed"]: return 1
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "600"])
            away = subprocess.Popen(["setsid", "sleep", "600"])
            twice = os.fork()
            if not twice:
                os.setsid()
                if os.fork(): os._exit(0)
                open("twice", "w").write(str(os.getpid()))
                while True: time.sleep(1)
            open("pids", "w").write(f"{os.getpid()} {child.pid} {away.pid}")
            while True: pass
        def metric(inputs): return {"v": inputs}
    """
    with opened(source, Limits(1.0, 1024)) as process:
        begin = time.monotonic()
        assert failure(process, {"seed": 0}).code == "metric_timeout"
        assert time.monotonic() - begin < 4
        pids = [*map(int, (tmp_path / "pids").read_text().split()), int((tmp_path / "twice").read_text())]
        assert [pid for pid in pids if alive(pid)] == []
        assert process.measure("a", {"seed": 1}, 1, names=("v",)) == {"v": 1}


def test_a_process_left_behind_by_a_cell_that_answers_is_ended(opened: Opened, tmp_path: Path) -> None:
    metric = "p = __import__('subprocess').Popen(['setsid', 'sleep', '600']); return {'v': p.pid}"
    with opened(body(metric)) as process:
        assert not alive(int(process.measure("a", CELL, 1, names=("v",))["v"]))


def test_a_fork_that_comes_back_does_not_answer_twice(opened: Opened) -> None:
    with opened(body("pid = os.fork(); return {'v': pid}")) as process:
        found = [process.measure("a", CELL, 1, names=("v",))["v"] for _ in range(3)]
    assert min(found) > 0
    with opened("import os\nos.fork()\n" + SIMPLE) as process:
        assert len({process.measure("a", CELL, 1, names=("v",))["v"] for _ in range(8)}) == 1


def test_a_bomb_of_forks_is_put_out(opened: Opened, tmp_path: Path) -> None:
    bomb = "\n    for _ in range(200):\n        if not os.fork():\n            os.fork(); time.sleep(600)"
    bomb += "\n    time.sleep(600)"
    with opened(body(bomb), Limits(1.0, 1024)) as process:
        assert failure(process).code == "metric_timeout"
        assert sum(map(runs_in(tmp_path), os.listdir("/proc"))) <= 2  # the guard and the process that loaded it


def runs_in(folder: Path) -> Callable[[str], bool]:
    def runs(process: str) -> bool:
        try:
            return process.isdigit() and alive(int(process)) and Path(f"/proc/{process}/cwd").readlink() == folder
        except OSError:
            return False

    return runs


def test_what_is_printed_is_kept_to_its_end(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    metric = "for k in range(1_000_000): print(k)\n    print('last', file=sys.stderr); return {'v': 1}"
    with opened(body(metric), Limits(30.0, 1024)) as process:
        assert process.measure("a", CELL, 1, names=("v",)) == {"v": 1}
        assert "999999\n" in process.output
        assert "last\n" in process.output
        assert len(process.output) <= 64 << 10


def test_nothing_of_this_process_is_passed_on(opened: Opened, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    source = """
        import os, sys
        def produce(arm, cell, rng):
            names = [f"/proc/self/fd/{d}" for d in os.listdir("/proc/self/fd")]
            print([os.readlink(name).partition(":")[0] for name in names if os.path.lexists(name)])
            assert sys.stdin.read() == ""
        def metric(inputs): return {"v": 1}
    """
    try:
        with opened(source) as process:
            process.measure("a", CELL, 1, names=("v",))
            assert process.output == "['/dev/null', 'pipe', 'pipe', 'pipe']\n"  # the last is its answer
    finally:
        os.close(lock)


def test_the_folder_stays_as_it_was_and_is_where_the_metric_runs(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (tmp_path / "beside.py").write_text("X = 2\n")
    (tmp_path / "data.txt").write_text("3")
    (tmp_path / "json.py").write_text("Y = 4\n")  # Python started here would find it before its own
    (tmp_path / "os.py").write_text("1 / 0\n")  # frozen into the interpreter, so that it would not find this one
    source = "import os, json, beside\nassert os.getcwd()\nprint('once')\n" + body(
        "return {'v': beside.X * int(open('data.txt').read()) * json.Y}"
    )
    with opened(source) as process:
        assert process.measure("a", CELL, 1, names=("v",)) == {"v": 24}
        assert process.measure("a", CELL, 2, names=("v",)) == {"v": 24}
        assert process.output == "once\n"
    assert sorted(os.listdir(tmp_path)) == ["beside.py", "data.txt", "json.py", "metric.py", "os.py"]


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("x = 1\n1 / 0\n", "metric_import", "ZeroDivisionError: division by zero\nin metric.py line 2"),
        ("def f(:\n", "metric_import", "SyntaxError"),
        ("import no_such_module_at_all\n", "metric_import", "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "metric_import", "SystemExit: 3"),
        ("while True: pass\n", "metric_timeout", "ended"),
        ("import os; os._exit(0)\n", "metric_died", "ended"),
        ("import os; os.closerange(0, 4096)\n", "metric_died", "ended"),
        ("x = bytearray(4 << 30)\n", "metric_memory", "MemoryError"),
        ("import ctypes; ctypes.string_at(0)\n", "metric_died", "ended"),
    ],
)
def test_a_file_that_does_not_load_is_named(opened: Opened, source: str, code: str, said: str) -> None:
    with pytest.raises(TollensError) as caught, opened(source, Limits(5.0, 1024, startup_seconds=2.0)):
        pass
    assert (caught.value.code, caught.value.exit_code) == (code, Exit.BAD_INPUT)
    assert said in caught.value.found


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TollensError, match="metric_import"), MetricProcess(tmp_path, limits=LIMITS):
        pass


def test_a_metric_that_kills_its_parent_is_told_and_so_is_every_later_question(opened: Opened) -> None:
    with opened(body("os.kill(os.getppid(), 9); time.sleep(600)")) as process:
        assert failure(process).code == "metric_died"
        assert failure(process).code == "metric_died"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["os.getppid()", "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"])
def test_a_process_of_ours_that_the_metric_stops_is_given_up(opened: Opened, target: str) -> None:
    """The one that loaded the metric, and the guard above it."""
    with opened(body(f"os.kill({target}, 19); time.sleep(600)"), Limits(1.0, 1024)) as process:
        begin = time.monotonic()
        assert failure(process).code in ("metric_timeout", "metric_died")
        assert time.monotonic() - begin < 25
        assert failure(process).code == "metric_died"


def test_too_little_memory_for_the_import_is_named(opened: Opened) -> None:
    with pytest.raises(TollensError) as caught, opened(SIMPLE + "X = bytes(30 << 20)\n", Limits(5.0, 16)):
        pass
    assert caught.value.code == "metric_memory"


def test_a_function_of_tollens_is_called_with_the_metric(opened: Opened) -> None:
    with opened(SIMPLE + "COUNT = 5\n") as process:
        assert process.call("builtins:hasattr", "COUNT") is True
        assert process.call("builtins:getattr", "COUNT") == 5
        with pytest.raises(TollensError, match=r"metric_raised: metric.py, getattr: .*AttributeError"):
            process.call("builtins:getattr", "no")
        with pytest.raises(TollensError, match="metric_answer"):
            process.call("builtins:getattr", "metric")


def test_an_error_of_tollens_comes_back_whole(opened: Opened) -> None:
    source = SIMPLE + (
        "from tollens.core.errors import Exit, TollensError\n"
        "class Raises:\n"
        "    def __getitem__(self, key):\n"
        "        raise TollensError('trap', 's', expected='e', found='f', fix='x', exit_code=Exit.VOID)\n"
        "import sys; sys.modules[__name__].__class__ = type('M', (type(sys),), {'__getitem__': Raises.__getitem__})\n"
    )
    with opened(source) as process, pytest.raises(TollensError) as caught:
        process.call("operator:getitem", 1)
    error = caught.value
    assert (error.code, error.subject, error.expected, error.found, error.fix) == ("trap", "s", "e", "f", "x")
    assert error.exit_code is Exit.VOID


def test_a_large_answer_comes_whole_and_a_larger_one_is_refused(opened: Opened) -> None:
    with opened(SIMPLE + "SOME = 'x' * (20 << 20)\nMORE = 'x' * (65 << 20)\n", Limits(20.0, 2048)) as process:
        assert len(process.call("builtins:getattr", "SOME")) == 20 << 20
        with pytest.raises(TollensError, match="at most 64 MiB"):
            process.call("builtins:getattr", "MORE")


def test_bytes_written_past_the_answer_are_not_taken(opened: Opened) -> None:
    pipes = "[d for d in range(3, 99) if os.path.exists(f'/proc/self/fd/{d}')]"
    flood = f"d, = {pipes}\n    while True: os.write(d, b'x' * 65536)"
    with opened(body(flood), Limits(20.0, 1024)) as process:
        error = failure(process)
        assert error.code == "metric_answer"
        assert "64 MiB" in error.expected


PARENT = """
import os, sys, time
from pathlib import Path
from tollens.run.metric_process import Limits, MetricProcess
with MetricProcess(Path(sys.argv[1]), limits=Limits(600.0, 1024, startup_seconds=600.0)) as process:
    if sys.argv[2] == "copied" and not os.fork():  # a worker that keeps the pipe of questions open
        time.sleep(6)
        os._exit(0)
    process.measure("a", {}, 1, names=("v",))
"""
SLEEPS = """
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
away = subprocess.Popen(["setsid", "sleep", "600"])
open("new", "w").write(f"{os.getppid()} {os.getpid()} {away.pid}")
os.rename("new", "pids")
while True:
    time.sleep(600)
"""


@pytest.mark.parametrize("stage", ["import", "measure", "copied"])
def test_when_this_process_is_killed_nothing_is_left(tmp_path: Path, stage: str) -> None:
    inside = textwrap.indent(SLEEPS, "    ")
    source = SLEEPS if stage == "import" else f"def produce(arm, cell, rng):{inside}\ndef metric(x): return {{}}\n"
    (tmp_path / "metric.py").write_text(source)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), stage])
    deadline = time.monotonic() + 20
    while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(pids)


def test_leaving_ends_what_still_runs(opened: Opened, tmp_path: Path) -> None:
    source = (
        "import subprocess\nopen('pid', 'w').write(str(subprocess.Popen(['setsid', 'sleep', '600']).pid))\n" + SIMPLE
    )
    with opened(source):
        pid = int((tmp_path / "pid").read_text())
        assert alive(pid)
    assert not alive(pid)


def test_a_question_is_cheap(opened: Opened) -> None:
    with opened(SIMPLE) as process:
        begin = time.perf_counter()
        for seed in range(50):
            process.measure("a", CELL, seed, names=("v",))
        each = (time.perf_counter() - begin) / 50
    print(f"{each * 1e3:.1f} ms a question")
    assert each < 0.2


def test_a_process_is_asked_only_while_it_is_open(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside its with block"):
        MetricProcess(tmp_path, limits=LIMITS).measure("a", CELL, 1, names=("v",))
