"""What a pickle describes, as inert values: nothing is imported, nothing is called, and every step is bounded.

A pickle is a program for a stack machine (PEP 307, PEP 3154, PEP 574). This machine knows the instructions that build
plain values. A name of a module is a name here, and the call of a name is a record of its arguments.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from tollens.core.errors import TollensError

MAX_INSTRUCTIONS = 8_000_000
MAX_STACK = 1_000_000
MAX_INTEGER = 255  # bytes; tensors need 8

Value: TypeAlias = Any
"""None, bool, int, float, str, bytes, list, tuple, or one of the records below."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the pickle asks for by name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Table:
    """A dict: its entries as they were set, so that a key may stand twice and needs no hash."""

    entries: list[tuple[Value, Value]]


@dataclass(frozen=True, slots=True)
class Call:
    """What the call of `name` with `arguments` would make; `at` is the byte of the pickle that asks for it."""

    name: Name
    arguments: tuple[Value, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Outside:
    """A value that lies outside of the pickle, under the key `key`."""

    key: Value
    at: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that a pickle may ask for. The call of one of `tables` makes a `Table`, of one of `lists` a list;
    `plain` may be made without a call and be given a state, which is dropped.
    """

    allowed: frozenset[Name]
    tables: frozenset[Name]
    lists: frozenset[Name]
    plain: frozenset[Name]


def run(data: bytes, where: str, vocabulary: Vocabulary) -> Value:
    """The value that the pickle `data` describes. Values may be shared, and a list or table may hold itself.

    Time and memory grow with `len(data)` alone. Raises: `pickle_invalid`, `pickle_global_refused`,
    `pickle_instruction_refused`, `pickle_too_large`, `trailing_bytes`.
    """
    return _Machine(data, where, vocabulary).run()


class _Machine:
    __slots__ = ("at", "begin", "copies", "data", "floor", "marks", "memo", "stack", "vocabulary", "where")

    def __init__(self, data: bytes, where: str, vocabulary: Vocabulary) -> None:
        self.data = data
        self.where = where
        self.vocabulary = vocabulary
        self.at = 0  # the next byte
        self.begin = 0  # the byte of the instruction at work
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.floor = 0  # what lies below the last mark is out of reach
        self.memo: dict[int, Value] = {}
        self.copies = len(data)  # items that containers made from containers may still hold

    def run(self) -> Value:
        data, stack = self.data, self.stack
        if data[:1] != b"\x80" or data[1:2] not in (b"\x02", b"\x03", b"\x04", b"\x05"):
            raise self.invalid("a pickle of protocol 2 to 5", f"{data[:2]!r}")
        self.at = 2
        for _ in range(MAX_INSTRUCTIONS):
            self.begin = self.at
            if self.begin >= len(data):
                raise self.invalid("a pickle that ends with STOP", "the end of the bytes")
            code = data[self.begin]
            self.at += 1
            if code == 0x2E:
                return self.result()
            act = _ACTS[code]
            if act is None:
                raise self.refused(code)
            act(self)
            if len(stack) > MAX_STACK:
                raise self.too_large(f"a stack of at most {MAX_STACK} values")
        raise self.too_large(f"at most {MAX_INSTRUCTIONS} instructions")

    def result(self) -> Value:
        if self.marks or len(self.stack) != 1:
            raise self.invalid("one value at the end", f"{len(self.stack)} and {len(self.marks)} open marks")
        if self.at != len(self.data):
            raise self.error("trailing_bytes", f"a pickle of {self.at} bytes", f"{len(self.data)}")
        return self.stack[0]

    # what instructions are made of

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise self.invalid(f"{count} more bytes", f"{len(self.data) - self.at}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def integer(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise self.invalid("a name that ends with its line", "the end of the bytes")
        return self.text(self.take(end + 1 - self.at)[:-1])

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise self.invalid("text in UTF-8", f"{raw[:20]!r}") from None

    def top(self) -> Value:
        if len(self.stack) <= self.floor:
            raise self.invalid("a value on the stack", "none above the last mark")
        return self.stack[-1]

    def pop(self) -> Value:
        if len(self.stack) <= self.floor:
            raise self.invalid("a value on the stack", "none above the last mark")
        return self.stack.pop()

    def pop_mark(self) -> list[Value]:
        if not self.marks:
            raise self.invalid("an open mark", "none")
        begin = self.marks.pop()
        self.floor = self.marks[-1] if self.marks else 0
        items = self.stack[begin:]
        del self.stack[begin:]
        return items

    def below(self, kind: type[Any]) -> Value:
        """The value that an instruction adds to."""
        target = self.top()
        if type(target) is not kind:
            raise self.invalid(f"a {kind.__name__.lower()} to add to", kind_of(target))
        return target

    # errors

    def error(self, code: str, expected: str, found: str) -> TollensError:
        subject = f"{self.where}: byte {self.begin}"
        fix = "Do not load the file: fetch it from a source you trust, or have its author save it as safetensors."
        return TollensError(code, subject, expected=expected, found=found, fix=fix)

    def invalid(self, expected: str, found: str) -> TollensError:
        return self.error("pickle_invalid", expected, found)

    def too_large(self, expected: str) -> TollensError:
        return self.error("pickle_too_large", expected, "more")

    def refused(self, code: int) -> TollensError:
        name = REFUSED.get(code)
        if name is None:
            return self.invalid("an instruction of the pickle protocol", f"byte {code:#04x}")
        return self.error("pickle_instruction_refused", "the instructions that plain weights need", name)

    # instructions

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise self.invalid("a value remembered before", f"nothing under number {index}")
        self.stack.append(self.memo[index])

    def long(self, length: int) -> None:
        if length > MAX_INTEGER:
            raise self.too_large(f"integers of at most {MAX_INTEGER} bytes")
        self.stack.append(int.from_bytes(self.take(length), "little", signed=True))

    def named(self, module: Value, name: Value) -> None:
        if type(module) is not str or type(name) is not str:
            raise self.invalid("a module and a name", f"{kind_of(module)} and {kind_of(name)}")
        found = Name(module, name)
        if found not in self.vocabulary.allowed:
            shown = f"{module!r:.80}, {name!r:.80}" if not (module + name).isprintable() else f"{found!s:.160}"
            raise self.error("pickle_global_refused", "names of tensors and plain containers", shown)
        self.stack.append(found)

    def mark(self) -> None:
        self.floor = len(self.stack)
        self.marks.append(self.floor)

    def group(self, count: int) -> None:
        if len(self.stack) - self.floor < count:
            raise self.invalid(f"{count} values on the stack", f"{len(self.stack) - self.floor}")
        items = tuple(self.stack[-count:])
        self.stack[-count:] = [items]

    def extend(self) -> None:
        items = self.pop_mark()
        self.below(list).extend(items)

    def append(self) -> None:
        item = self.pop()
        self.below(list).append(item)

    def set_items(self) -> None:
        items = self.pop_mark()
        self.below(Table).entries.extend(self.paired(items))

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.below(Table).entries.append((key, value))

    def paired(self, items: list[Value]) -> list[tuple[Value, Value]]:
        if len(items) % 2:
            raise self.invalid("keys and values", f"{len(items)} items")
        return list(zip(items[::2], items[1::2], strict=True))

    def reduce(self) -> None:
        arguments, name = self.pop(), self.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise self.invalid("a name and its arguments", f"{kind_of(name)} and {kind_of(arguments)}")
        if name in self.vocabulary.tables:
            self.stack.append(Table(self.entries(arguments)))
        elif name in self.vocabulary.lists:
            content = arguments[0] if arguments and type(arguments[0]) in (list, tuple) else ()
            self.stack.append(list(self.copied(content)))
        else:
            self.stack.append(Call(name, arguments, self.begin))

    def entries(self, arguments: tuple[Value, ...]) -> list[tuple[Value, Value]]:
        """What a dict is made from: nothing, another dict, a list of pairs; a default factory is no content."""
        content = next((a for a in arguments if type(a) in (Table, list)), ())
        pairs = self.copied(content.entries if type(content) is Table else content)
        if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
            raise self.invalid("pairs of key and value", "other items")
        return [(key, value) for key, value in pairs]

    def copied(self, items: Sequence[Value]) -> Sequence[Value]:
        """The same items, once it is clear that copies of copies do not outgrow the pickle."""
        self.copies -= len(items)
        if self.copies < 0:
            raise self.too_large(f"copies of at most {len(self.data)} items")
        return items

    def make(self) -> None:
        arguments, name = self.pop(), self.pop()
        if type(name) is not Name or name not in self.vocabulary.plain or arguments != ():
            found = f"NEWOBJ of {name if type(name) is Name else kind_of(name)}"
            raise self.error("pickle_instruction_refused", "the instructions that plain weights need", found)
        self.stack.append(Call(name, (), self.begin))

    def build(self) -> None:
        self.pop()
        target = self.top()
        if not (type(target) is Table or (type(target) is Call and target.name in self.vocabulary.plain)):
            found = f"BUILD of {target.name if type(target) is Call else kind_of(target)}"
            raise self.error("pickle_instruction_refused", "the instructions that plain weights need", found)

    def frame(self) -> None:
        length = self.integer(8)
        if length > len(self.data) - self.at:
            raise self.invalid(f"{length} more bytes", f"{len(self.data) - self.at}")


def kind_of(value: Value) -> str:
    """What a value is, in words that do not print it."""
    return f"{value!s:.160}" if type(value) is Name else f"a {type(value).__name__.lower()}"


def _push(make: Callable[[_Machine], Value]) -> Callable[[_Machine], None]:
    def act(machine: _Machine) -> None:
        machine.stack.append(make(machine))

    return act


def _sized(width: int, make: Callable[[_Machine, bytes], Value]) -> Callable[[_Machine], None]:
    """Bytes behind their length, which takes `width` bytes."""

    def act(machine: _Machine) -> None:
        machine.stack.append(make(machine, machine.take(machine.integer(width))))

    return act


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.named(module, name)


def _pop(machine: _Machine) -> None:
    if machine.marks and len(machine.stack) == machine.floor:
        machine.pop_mark()
    else:
        machine.pop()


def _protocol_again(machine: _Machine) -> NoReturn:
    raise machine.invalid("the protocol once, at the start", "PROTO again")


def _plain(_: _Machine, raw: bytes) -> bytes:
    return raw


_TABLE: dict[int, Callable[[_Machine], object]] = {
    0x80: _protocol_again,
    0x95: _Machine.frame,
    # constants
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("K"): _push(lambda m: m.take(1)[0]),
    ord("M"): _push(lambda m: m.integer(2)),
    ord("J"): _push(lambda m: int.from_bytes(m.take(4), "little", signed=True)),
    ord("G"): _push(lambda m: struct.unpack(">d", m.take(8))[0]),
    0x8A: lambda m: m.long(m.integer(1)),
    0x8B: lambda m: m.long(m.integer(4)),
    ord("X"): _sized(4, _Machine.text),
    0x8C: _sized(1, _Machine.text),
    0x8D: _sized(8, _Machine.text),
    ord("T"): _sized(4, _Machine.text),  # text of Python 2
    ord("U"): _sized(1, _Machine.text),
    ord("B"): _sized(4, _plain),
    ord("C"): _sized(1, _plain),
    0x8E: _sized(8, _plain),
    0x96: _sized(8, _plain),
    # containers
    ord("("): _Machine.mark,
    ord(")"): _push(lambda m: ()),
    ord("t"): _push(lambda m: tuple(m.pop_mark())),
    0x85: lambda m: m.group(1),
    0x86: lambda m: m.group(2),
    0x87: lambda m: m.group(3),
    ord("]"): _push(lambda m: []),
    ord("l"): _push(lambda m: m.pop_mark()),
    0x8F: _push(lambda m: []),  # sets are lists here, and need no hash
    0x91: _push(lambda m: tuple(m.pop_mark())),
    ord("a"): _Machine.append,
    ord("e"): _Machine.extend,
    0x90: _Machine.extend,
    ord("}"): _push(lambda m: Table([])),
    ord("d"): _push(lambda m: Table(m.paired(m.pop_mark()))),
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    # the stack and the memo
    ord("0"): _pop,
    ord("1"): _Machine.pop_mark,
    ord("2"): lambda m: m.stack.append(m.top()),
    ord("q"): lambda m: m.put(m.integer(1)),
    ord("r"): lambda m: m.put(m.integer(4)),
    0x94: lambda m: m.put(len(m.memo)),
    ord("h"): lambda m: m.get(m.integer(1)),
    ord("j"): lambda m: m.get(m.integer(4)),
    # names, and what would run code elsewhere
    ord("c"): lambda m: m.named(m.line(), m.line()),
    0x93: _stack_global,
    ord("R"): _Machine.reduce,
    0x81: _Machine.make,
    ord("b"): _Machine.build,
    ord("Q"): _push(lambda m: Outside(m.pop(), m.begin)),
}
_ACTS = [_TABLE.get(code) for code in range(256)]
REFUSED = {
    ord("i"): "INST", ord("o"): "OBJ", 0x92: "NEWOBJ_EX", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", ord("P"): "PERSID",
    0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER", ord("I"): "INT", ord("L"): "LONG", ord("F"): "FLOAT",
    ord("S"): "STRING", ord("V"): "UNICODE", ord("p"): "PUT", ord("g"): "GET",
}  # fmt: skip
"""Instructions that make objects in other ways, ask for code by number, or belong to the text protocol of 1994."""
