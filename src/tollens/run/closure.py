"""Which files and which installed distributions a metric consists of, read from its imports without running it."""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import all_suffixes
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path, PurePosixPath

from tollens.core.errors import TollensError

_LOADERS = frozenset({"runpy", "imp", "zipimport", "pkgutil"})  # standard modules that run files by their path
_PATHS = frozenset({"path", "meta_path", "path_hooks", "modules"})  # of sys: what decides where an import leads
_IMPORTERS = frozenset({"import_module", "__import__"})
_OPAQUE = frozenset({"exec", "eval", "spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader"})
_OWN = "tollens"  # its version is recorded with the environment, also where it runs from its sources


@dataclass(frozen=True, slots=True)
class Closure:
    """What the imports of a metric reach.

    `files`: paths in the folder, the metric first, the others sorted. `outside`: version by installed
    distribution. `unpinned`: top-level modules that no installed distribution with a fixed version owns.
    `dynamic`: `path:line what` for imports that cannot be read from the source.
    """

    files: tuple[str, ...]
    outside: Mapping[str, str]
    unpinned: tuple[str, ...]
    dynamic: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Import:
    """`name`: absolute and dotted. `members`: what `from` takes from it; `*` stands for all."""

    name: str
    members: tuple[str, ...] = ()
    relative: bool = False  # written with leading dots, so that it never leaves the project


def import_closure(folder: Path, file: str) -> Closure:
    """The closure of the imports of `file`, a path in `folder`, anywhere in its text and followed through the folder.

    Python looks in the folder first, so a file there stands in front of a module of the standard library or of
    a distribution with the same name. A name that is formed at run time is listed in `dynamic` where the source
    shows it; code that hides what it does, or that runs another program, is not found.

    Raises TollensError `metric_outside` for a path, link or relative import that leaves the folder,
    `metric_syntax` for a file that does not parse, `path_missing` where the metric is no file.
    """
    root = folder.resolve()
    first = PurePosixPath(file)
    if first.is_absolute() or ".." in first.parts:
        raise _outside(file, "a path that leaves the folder")
    if not (root / first).is_file():
        raise TollensError(
            "path_missing", file, expected="a file of the study", found="no file", fix="Check [metric] file."
        )
    waiting, seen = [str(first)], {str(first)}
    elsewhere: set[str] = set()
    dynamic: list[tuple[str, int, str]] = []
    while waiting:
        path = waiting.pop()
        if not (root / path).resolve().is_relative_to(root):
            raise _outside(path, "a link that leaves the folder")
        if not path.endswith(".py"):
            continue  # compiled: sealed by its bytes, and its imports cannot be read
        source = _Source(path, _parsed(root / path, path))
        dynamic.extend((path, line, what) for line, what in source.dynamic())
        for wanted in source.imports():
            found = _project_files(root, wanted)
            if found is None:
                elsewhere.add(wanted.name.partition(".")[0])
                continue
            waiting.extend(new for new in found if new not in seen)
            seen.update(found)
    outside, unpinned = _owners(elsewhere - sys.stdlib_module_names)
    lines = tuple(f"{path}:{line} {what}" for path, line, what in sorted(set(dynamic)))
    return Closure((str(first), *sorted(seen - {str(first)})), outside, unpinned, lines)


def _outside(path: str, found: str) -> TollensError:
    return TollensError(
        "metric_outside",
        path,
        expected="files inside the folder of the study",
        found=found,
        fix="Copy the file into the folder.",
    )


def _parsed(path: Path, name: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an invalid escape in a string: Python says so when it runs the file
            return ast.parse(path.read_bytes(), filename=name)
    except SyntaxError as error:
        raise _unreadable(name, f"line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(name, f"{type(error).__name__}: {error}") from error


def _unreadable(name: str, found: str) -> TollensError:
    return TollensError(
        "metric_syntax", name, expected="a file that Python can parse", found=found, fix="Mend that line."
    )


class _Source:
    """One parsed file of the project: its imports, and the places where it imports in a way that cannot be read."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self._path, self._nodes = path, [*ast.walk(tree)]
        self._package = PurePosixPath(path).parent.parts
        self._sys, self._importers, self._opaque = {"sys"}, {*_IMPORTERS}, {*_OPAQUE}
        for node in self._nodes:
            if isinstance(node, ast.Import):
                self._sys |= {alias.asname for alias in node.names if alias.name == "sys" and alias.asname}
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.asname and alias.name in _IMPORTERS:
                        self._importers.add(alias.asname)
                    elif alias.asname and alias.name in _OPAQUE:
                        self._opaque.add(alias.asname)

    def imports(self) -> Iterator[_Import]:
        """Every import of the file, those inside functions and those of a literal name included."""
        for node in self._nodes:
            if isinstance(node, ast.Import):
                yield from (_Import(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield _Import(self._absolute(node), tuple(alias.name for alias in node.names), node.level > 0)
            elif isinstance(node, ast.Call) and (literal := self._literal(node)):
                yield _Import(literal)

    def dynamic(self) -> Iterator[tuple[int, str]]:
        """Line and name of everything that may import what the source does not name."""
        read = {id(node.func) for node in self._nodes if isinstance(node, ast.Call) and self._literal(node)}
        for node in self._nodes:
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
                yield from ((node.lineno, name) for name in tops & _LOADERS)
            elif isinstance(node, ast.ImportFrom):
                module = (node.module or "").partition(".")[0] if not node.level else ""
                names = {alias.name for alias in node.names}
                if module in _LOADERS:
                    yield node.lineno, module
                if module == "sys":
                    yield from ((node.lineno, f"sys.{name}") for name in names & {*_PATHS, "*"})
            elif isinstance(node, ast.Name) and id(node) not in read and node.id in self._importers | self._opaque:
                yield node.lineno, node.id
            elif isinstance(node, ast.Attribute) and id(node) not in read:
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                if owner in self._sys and node.attr in _PATHS:
                    yield node.lineno, f"sys.{node.attr}"
                elif node.attr in _IMPORTERS | (_OPAQUE - {"exec", "eval"}) or (
                    owner in ("builtins", "__builtins__") and node.attr in _OPAQUE
                ):
                    yield node.lineno, node.attr

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        if node.level - 1 > len(self._package):
            raise _outside(f"{self._path}:{node.lineno}", f"from {'.' * node.level}{node.module or ''} import")
        base = self._package[: len(self._package) - node.level + 1]
        return ".".join((*base, *((node.module,) if node.module else ())))

    def _literal(self, call: ast.Call) -> str:
        """The name in `import_module("x.y")` or `__import__("x.y")`; empty for any other call."""
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        if name not in self._importers or len(call.args) != 1 or call.keywords:
            return ""
        value = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
        return value if isinstance(value, str) and not value.startswith(".") else ""


def _project_files(root: Path, wanted: _Import) -> list[str] | None:
    """The files of the folder that an import loads: packages on the way, the module, submodules taken from it.

    None where the import leads elsewhere.
    """
    parts = tuple(part for part in wanted.name.split(".") if part)
    if not wanted.relative and _file(root, parts[:1]) is None and not _is_namespace(root, parts[0]):
        return None
    ways = [parts[:depth] for depth in range(1, len(parts) + 1)]
    for member in wanted.members:
        ways.extend([(*parts, each) for each in _submodules(root, parts)] if member == "*" else [(*parts, member)])
    return [file for way in ways if (file := _file(root, way)) is not None]


def _file(root: Path, parts: tuple[str, ...]) -> str | None:
    """The file that Python takes for a dotted name in the folder: a package before a module, as its finder does."""
    stem = "/".join(parts)
    for tail in (*(f"/__init__{suffix}" for suffix in _suffixes()), *_suffixes()):
        if (root / (stem + tail)).is_file():
            return stem + tail
    return None


@lru_cache(maxsize=1)
def _suffixes() -> tuple[str, ...]:
    compiled = [suffix for suffix in all_suffixes() if suffix not in (".py", ".pyc")]
    return (*compiled, ".py", ".pyc")


def _submodules(root: Path, parts: tuple[str, ...]) -> list[str]:
    entries = [entry.name.partition(".")[0] for entry in root.joinpath(*parts).glob("*")]
    return sorted({name for name in entries if name.isidentifier() and name != "__init__"})


def _is_namespace(root: Path, top: str) -> bool:
    """Whether a directory without `__init__` stands for `top`: Python takes it only where nothing else has the name."""
    return (root / top).is_dir() and top not in sys.stdlib_module_names and not _distributions(top)


@lru_cache(maxsize=1)
def _installed() -> tuple[tuple[Distribution, frozenset[str], str], ...]:
    """Every distribution, the modules it declares, and its list of files."""
    found = []
    for owner in distributions():
        declared = frozenset((owner.read_text("top_level.txt") or "").split())
        record = "" if declared else owner.read_text("RECORD") or "\n".join(f"{file}," for file in owner.files or ())
        found.append((owner, declared, record))
    return tuple(found)


def _named(top: str) -> list[str]:
    """The distributions that own a top-level module, sorted.

    What importlib.metadata.packages_distributions says of one name, without reading every file of every
    distribution into a path: that was the longest part of the first seal of a process.
    """
    listed = re.compile(rf'^"?{re.escape(top)}(/[^,\n]*)?(\.[\w-]+)*\.(py|so|pyd)"?,', re.MULTILINE)
    return sorted({
        owner.metadata["Name"]
        for owner, declared, record in _installed()
        if (top in declared if declared else top in record and listed.search(record))
    })  # fmt: skip


def _distributions(top: str) -> list[Distribution]:
    found = []
    for name in _named(top) or [top]:  # an editable installation does not list its modules
        try:
            found.append(distribution(name))
        except PackageNotFoundError:
            continue
    return found


def _owners(tops: set[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    outside: dict[str, str] = {}
    unpinned = []
    for top in sorted(tops):
        owners = _distributions(top)
        outside.update((owner.metadata["Name"], owner.version) for owner in owners)
        if not owners or (top != _OWN and any(map(_editable, owners))):
            unpinned.append(top)
    return dict(sorted(outside.items())), tuple(unpinned)


def _editable(owner: Distribution) -> bool:
    """Whether the distribution runs from a working tree, whose files its version does not fix."""
    origin = json.loads(owner.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))
