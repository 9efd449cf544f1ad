from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.run import closure as closure_module
from tollens.run.closure import import_closure


def study(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


PROJECT = {
    "metric.py": "import a\nimport pkg.deep.leaf\n"
    "from pkg import sub, VALUE\nimport colorsys\nimport os.path, numpy.linalg\n"
    "def metric(x):\n    from late import thing\n    import scipy\n",
    "a.py": "from b import *\n",
    "b.py": "try:\n    import c\nexcept ImportError:\n    import metric\n",
    "c.py": "import a\n",  # a cycle
    "late.py": "thing = 1\n",
    "colorsys.py": "import shadow\n",  # stands in front of the standard library
    "shadow.py": "",
    "unused.py": "import torch\n",
    "pkg/__init__.py": "VALUE = 1\nfrom . import first\nfrom .deep import *\n",
    "pkg/first.py": "from .second import f\n",
    "pkg/second.py": "def f(): pass\n",
    "pkg/sub.py": "",
    "pkg/alone.py": "",
    "pkg/deep/__init__.py": "__all__ = ['star']\n",
    "pkg/deep/leaf.py": "from .. import sub\n",
    "pkg/deep/star.py": "",
}


def test_the_files_of_a_project_are_found_and_no_others(tmp_path: Path) -> None:
    found = import_closure(study(tmp_path, PROJECT), "metric.py")
    assert found.files == ("metric.py", *sorted(PROJECT.keys() - {"metric.py", "unused.py", "pkg/alone.py"}))
    assert found.outside == {"numpy": np.__version__, "scipy": version("scipy")}
    assert found.unpinned == ()
    assert found.dynamic == ()


def test_what_python_loads_is_inside_the_closure(tmp_path: Path) -> None:
    study(tmp_path, PROJECT)
    code = (
        "import sys, metric; metric.metric(1); print(*[getattr(m, '__file__', None) for m in [*sys.modules.values()]])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {os.path.relpath(path, tmp_path) for path in done.stdout.split() if path.startswith(str(tmp_path))}
    assert {"metric.py", "colorsys.py", "pkg/first.py", "pkg/deep/star.py"} <= loaded
    assert loaded <= set(import_closure(tmp_path, "metric.py").files)


@given(edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_closure_is_what_can_be_reached(
    tmp_path_factory: pytest.TempPathFactory, edges: set[tuple[int, int]]
) -> None:
    names = [f"m{k}" for k in range(6)]
    lines = {name: "".join(f"import m{b}\n" for a, b in sorted(edges) if names[a] == name) for name in names}
    folder = study(tmp_path_factory.mktemp("study"), {f"{name}.py": text for name, text in lines.items()})
    reached = {0}
    for _ in names:
        reached |= {b for a, b in edges if a in reached}
    assert import_closure(folder, "m0.py").files == ("m0.py", *(f"m{k}.py" for k in sorted(reached - {0})))


def test_a_loose_module_and_a_missing_one_are_unpinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = study(tmp_path / "loose", {"loose_module_of_nobody.py": ""})
    monkeypatch.syspath_prepend(loose)
    folder = study(
        tmp_path / "s", {"metric.py": "import loose_module_of_nobody.x, never_installed_xyz, sys, __future__\n"}
    )
    assert import_closure(folder, "metric.py").unpinned == ("loose_module_of_nobody", "never_installed_xyz")


def test_an_editable_distribution_is_unpinned_and_a_fixed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, origin in (("xeditable", '{"dir_info": {"editable": true}, "url": "file:///x"}'), ("xfixed", "{}")):
        record = f"{name}-1.5.dist-info"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        study(tmp_path / "site", {f"{record}/METADATA": text, f"{record}/direct_url.json": origin, f"{name}.py": ""})
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = study(tmp_path / "s", {"metric.py": "import xeditable, xfixed, tollens.core\n"})
    found = import_closure(folder, "metric.py")
    assert found.outside == {"tollens": version("tollens"), "xeditable": "1.5", "xfixed": "1.5"}
    assert found.unpinned == ("xeditable",)


def test_a_folder_without_init_is_a_package_only_where_nothing_else_has_its_name(tmp_path: Path) -> None:
    files = {"metric.py": "import part\nimport part.x\nimport numpy.own\nimport email.own\n"}
    study(tmp_path, {**files, "part/x.py": "from . import y", "part/y.py": "", "numpy/own.py": "", "email/own.py": ""})
    found = import_closure(tmp_path, "metric.py")
    assert found.files == ("metric.py", "part/x.py", "part/y.py")
    assert set(found.outside) == {"numpy"}
    assert found.unpinned == ()


def test_a_package_stands_in_front_of_a_module_and_a_compiled_module_is_sealed_unread(tmp_path: Path) -> None:
    study(tmp_path, {"metric.py": "import p, q", "p/__init__.py": "", "p.py": "1 +", "q.abi3.so": "\x00"})
    assert import_closure(tmp_path, "metric.py").files == ("metric.py", "p/__init__.py", "q.abi3.so")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import importlib; importlib.import_module(name)", "import_module"),
        ("from importlib import import_module as im; im(name)", "im"),
        ("importlib.import_module('.x', package='y')", "import_module"),
        ("importlib.import_module('.x')", "import_module"),
        ("load = __import__", "__import__"),
        ("__import__(name)", "__import__"),
        ("__import__('a', fromlist=['b'])", "__import__"),
        ("exec('import a')", "exec"),
        ("eval(text)", "eval"),
        ("import builtins; builtins.exec(text)", "exec"),
        ("import runpy", "runpy"),
        ("from runpy import run_path", "runpy"),
        ("import sys; sys.path.append('..')", "sys.path"),
        ("import sys as s; s.path[:] = []", "sys.path"),
        ("from sys import path", "sys.path"),
        ("import sys; sys.modules['a'] = 1", "sys.modules"),
        ("import sys; sys.meta_path.insert(0, f)", "sys.meta_path"),
        ("import importlib.util as u; u.spec_from_file_location('a', p)", "spec_from_file_location"),
        ("from importlib.util import spec_from_file_location as f; f('a', p)", "f"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    study(tmp_path, {"metric.py": "import other", "other.py": f"# first\ndef f():\n    {line}\n"})
    assert import_closure(tmp_path, "metric.py").dynamic == (f"other.py:3 {said}",)


@pytest.mark.parametrize(
    "line",
    [
        "import importlib; importlib.import_module('a.b')",
        "from importlib import import_module; import_module('a.b')",
        "__import__('a.b')",
        "from importlib import import_module as im; im('a.b')",
    ],
)
def test_a_literal_name_is_followed(tmp_path: Path, line: str) -> None:
    study(tmp_path, {"metric.py": line, "a/__init__.py": "", "a/b.py": ""})
    found = import_closure(tmp_path, "metric.py")
    assert found.files == ("metric.py", "a/__init__.py", "a/b.py")
    assert found.dynamic == ()


@pytest.mark.parametrize(
    "line", ["frame.eval('x')", "model.eval()", "import re; re.compile('x')", "import os.path; os.path.exists('x')"]
)
def test_what_only_looks_alike_is_not_named(tmp_path: Path, line: str) -> None:
    assert import_closure(study(tmp_path, {"metric.py": line}), "metric.py").dynamic == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [("x = 1\ndef f(:\n", "line 2"), ("x = '\x00'\n", "null"), ("(" * 5000, "line 1"), ("-" * 200_000 + "1", "")],
)
def test_a_file_that_does_not_parse_is_named(tmp_path: Path, text: str, said: str) -> None:
    study(tmp_path, {"metric.py": "import other", "other.py": text})
    with pytest.raises(TollensError) as caught:
        import_closure(tmp_path, "metric.py")
    assert (caught.value.code, caught.value.subject) == ("metric_syntax", "other.py")
    assert caught.value.exit_code is Exit.BAD_INPUT
    assert said in caught.value.found


def test_an_encoding_line_is_obeyed_and_a_strange_escape_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_bytes("# coding: latin-1\nx = 'é\\d'\nimport a\n".encode("latin-1"))
    study(tmp_path, {"a.py": ""})
    assert import_closure(tmp_path, "metric.py").files == ("metric.py", "a.py")


def test_what_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", {"metric.py": "import inside", "up.py": "from .. import x"})
    away = study(tmp_path / "away", {"x.py": "", "metric.py": ""})
    (folder / "real.py").write_text("")
    (folder / "inside.py").symlink_to(folder / "real.py")
    assert import_closure(folder, "metric.py").files == ("metric.py", "inside.py")
    (folder / "inside.py").unlink()
    (folder / "inside.py").symlink_to(away / "x.py")
    (folder / "link").symlink_to(away)
    for file in ("metric.py", "up.py", "../away/metric.py", str(away / "metric.py"), "link/metric.py"):
        with pytest.raises(TollensError, match="metric_outside"):
            import_closure(folder, file)


def test_a_folder_that_is_reached_by_a_link_is_inside_itself(tmp_path: Path) -> None:
    study(tmp_path / "s", {"metric.py": "import a", "a.py": ""})
    (tmp_path / "link").symlink_to(tmp_path / "s")
    assert import_closure(tmp_path / "link", "metric.py").files == ("metric.py", "a.py")


@pytest.mark.parametrize("file", ["no.py", "folder", "pipe.py", "loop.py"])
def test_what_is_no_file_is_named(tmp_path: Path, file: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    with pytest.raises(TollensError, match="path_missing"):
        import_closure(tmp_path, file)


def test_the_owners_of_every_installed_module_are_those_that_the_standard_library_names():
    """The quick way against the slow one, over everything that is installed here."""
    for top, owners in packages_distributions().items():
        if top.isidentifier():
            assert {*owners} <= {*closure_module._named(top)}, top
    assert closure_module._named("numpy") == ["numpy"]
    assert closure_module._named("num") == closure_module._named("no_such_module") == []
