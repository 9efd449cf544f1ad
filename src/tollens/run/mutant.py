"""A wrong formula: a function with one operator, comparison, constant or sign changed, beside the one it is made from.

Nothing is changed in place. The mutant and all functions of its package that lead to it are made anew in copies of
their modules' namespaces, so that the original goes on unharmed.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TypeAlias

Function: TypeAlias = Callable[..., Any]

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NOT_THE_FORMULA = (ast.JoinedStr, ast.Raise, ast.Assert, ast.arguments)
SPREAD = 0.6180339887498949  # multiples of the golden ratio, modulo 1, cover an interval evenly at every length


@dataclass(frozen=True, slots=True)
class Site:
    """One place that can be changed: the `index`-th of `function`, and how it would read before and after."""

    function: FunctionType
    index: int
    where: str
    change: str


def sites(function: Function) -> list[Site]:
    """Every change to a function and to the functions of its package that it calls, in the order to try them.

    One of the function's own comes first, then one of each function that it leads to, and so on in turn; two of
    its own module for each one of another, which is mostly a check of the input. Empty without a Python source.
    """
    start = _plain(function)
    if start is None:
        return []
    spread: dict[bool, list[list[Site]]] = {True: [], False: []}
    for reached in _reachable(start):
        found = list(_sites(reached))
        spread[reached.__module__ == start.__module__].append([found[k] for k in _spread(len(found))])
    return _in_turn([_in_turn(spread[True]), _in_turn(spread[False])], shares=(2, 1))


def _in_turn(rows: Sequence[Sequence[Site]], shares: Sequence[int] | None = None) -> list[Site]:
    """From each row in turn as many as its share, 1 unless told, until all are taken."""
    waiting = [list(reversed(row)) for row in rows]
    taken: list[Site] = []
    while any(waiting):
        for row, share in zip(waiting, shares or [1] * len(waiting), strict=True):
            taken += [row.pop() for _ in range(min(share, len(row)))]
    return taken


def mutated(function: Function, site: Site | None) -> Function:
    """A copy of `function` in which one site is changed, also where it is reached through other functions.

    None changes nothing: the control, which has to answer as the original does.
    """
    start = _plain(function)
    assert start is not None
    return _Copies(start.__globals__["__name__"].partition(".")[0], site).of(start)


def _plain(function: Any) -> FunctionType | None:
    """The Python function under decorators that keep it, such as a cache."""
    found = inspect.unwrap(function) if callable(function) else function
    return found if isinstance(found, FunctionType) else None


def _reachable(start: FunctionType) -> Iterator[FunctionType]:
    """The function and those of its package that it names, nearest first."""
    package = start.__module__.partition(".")[0]
    waiting, seen = [start], {start}
    while waiting:
        function = waiting.pop(0)
        yield function
        for name in _names(function.__code__):
            named = _plain(function.__globals__.get(name))
            if named is not None and named not in seen and _of(named, package):
                seen.add(named)
                waiting.append(named)


def _names(code: CodeType) -> Iterator[str]:
    """The names that the code uses, those of functions inside it among them."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _of(function: FunctionType, package: str) -> bool:
    return function.__module__ == package or function.__module__.startswith(f"{package}.")


def _parsed(function: FunctionType) -> ast.FunctionDef | None:
    """The definition without decorators and annotations; None where it cannot be compiled by itself."""
    if function.__code__.co_freevars:
        return None
    try:
        lines, first = inspect.getsourcelines(function)
        [made] = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, SyntaxError, ValueError):
        return None
    if not isinstance(made, ast.FunctionDef):
        return None
    made.decorator_list, made.returns = [], None
    for argument in ast.walk(made.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    ast.increment_lineno(made, first - 1)
    return made


def _sites(function: FunctionType) -> Iterator[Site]:
    made = _parsed(function)
    if made is None:
        return
    file = Path(function.__code__.co_filename)
    for index, node in enumerate(_nodes(made)):
        before = ast.unparse(node)
        _change(node)
        where = f"{file.parent.name}/{file.name}:{getattr(node, 'lineno', 0)}"
        yield Site(function, index, where, f"{before}  ->  {ast.unparse(node)}")


def _nodes(made: ast.FunctionDef) -> list[ast.expr | ast.Return]:
    """What can be changed, in the order of the text: no docstring, message, default or guard."""
    found: list[ast.expr | ast.Return] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, NOT_THE_FORMULA) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return
        if isinstance(node, ast.If) and all(isinstance(inner, ast.Raise) for inner in node.body):
            for inner in node.orelse:  # what is refused as input is no formula
                visit(inner)
            return
        if isinstance(node, ast.expr) and _changeable(node):
            found.append(node)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Name | ast.Attribute | ast.Call):
            found.append(node)
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.AnnAssign) and child is node.annotation):
                visit(child)

    for statement in made.body:
        visit(statement)
    return found


def _changeable(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in OPERATORS and not _text(node.left) and not _text(node.right)
    if isinstance(node, ast.Compare):
        return type(node.ops[0]) in COMPARISONS
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.Not)
    return isinstance(node, ast.BoolOp) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _change(node: ast.expr | ast.Return) -> None:
    if isinstance(node, ast.Return):
        assert node.value is not None
        node.value = ast.UnaryOp(ast.USub(), node.value)
    elif isinstance(node, ast.BinOp):
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Compare):
        node.ops[0] = COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.UnaryOp):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value = node.value + 1


def _spread(count: int) -> list[int]:
    """0 to count - 1 so that every beginning of the order is spread over the whole."""
    return sorted(range(count), key=lambda k: ((k + 1) * SPREAD) % 1.0)


class _Copies:
    """Functions made anew, each once, in copies of their modules' namespaces that hold each other's copies."""

    def __init__(self, package: str, site: Site | None) -> None:
        self._package = package
        self._site = site
        self._spaces: dict[str, dict[str, Any]] = {}
        self._made: dict[FunctionType, FunctionType] = {}

    def of(self, function: FunctionType) -> FunctionType:
        if function in self._made:
            return self._made[function]
        space = self._spaces.setdefault(function.__module__, dict(function.__globals__))
        site = self._site
        code = _compiled(function, site.index) if site and function is site.function else function.__code__
        made = FunctionType(code, space, function.__name__, function.__defaults__, function.__closure__)
        made.__kwdefaults__ = function.__kwdefaults__
        self._made[function] = made
        for name in _names(function.__code__):
            named = _plain(function.__globals__.get(name))
            if named is not None and _of(named, self._package):
                space[name] = _cached_as(function.__globals__[name], self.of(named))
        return made


def _cached_as(original: Any, made: FunctionType) -> Function:
    """With a cache of its own where the original has one."""
    told = getattr(original, "cache_parameters", None)
    return lru_cache(**told())(made) if told is not None else made


def _compiled(function: FunctionType, index: int) -> CodeType:
    made = _parsed(function)
    assert made is not None
    _change(_nodes(made)[index])
    tree = ast.fix_missing_locations(ast.Module([made], []))
    whole = compile(tree, function.__code__.co_filename, "exec", dont_inherit=True)
    return next(c for c in whole.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__)
