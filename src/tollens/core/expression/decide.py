"""One atom over lists some of whose entries are undefined: true, false or not known, with the witness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tollens.core.expression.answer import Missing, Witness
from tollens.core.expression.check import folded, lone_name
from tollens.core.expression.linear import (
    Columns,
    Key,
    Mean,
    Normal,
    Order,
    key_can_be,
    key_range,
    normal,
    normal_range,
)
from tollens.core.expression.ranges import Bound, Entry, Range, holds, unscorable
from tollens.core.expression.syntax import Compare, Op, Quantified, Quantifier, Rule, show_linear
from tollens.core.reading import Undefined


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth of a part of a rule (None: not known), what shows it, and which absences leave it open."""

    truth: bool | None
    rule: Rule
    witness: Witness | None = None
    missing: tuple[Missing, ...] = ()


def decide(atom: Compare | Quantified, columns: Columns) -> Outcome:
    """The truth of a checked atom over non-empty lists."""
    if isinstance(atom, Quantified):
        word = lone_name(atom.right)
        if word is not None and word not in columns:
            return _quantified_word(atom, word, columns)
        return _quantified(atom, columns)
    for one, other in ((atom.left, atom.right), (atom.right, atom.left)):
        name, word = lone_name(one), lone_name(other)
        if name is not None and word is not None and name in columns and word not in columns:
            return _word(atom, name, word, columns)
    return _compare(atom, columns)


def quantify(quantifier: Quantifier, truths: Sequence[bool | None]) -> bool | None:
    """Kleene's disjunction (any) or conjunction (all)."""
    decisive = quantifier is Quantifier.ANY
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


# Comparisons of sums


def _compare(atom: Compare, columns: Columns) -> Outcome:
    left, right = normal(atom.left, columns), normal(atom.right, columns)
    form = left.minus(right)
    open_keys = [key for key in form.terms if not key_range(key, columns).certain]
    if len(open_keys) == 1:
        return _one_key(atom, form, open_keys[0], columns)
    if len(form.terms) == 1:
        return _one_key(atom, form, next(iter(form.terms)), columns)
    total = normal_range(form, columns)
    truth = holds(total, atom.op, Fraction(0), total.can_be(Fraction(0)))
    if truth is None:
        return Outcome(None, atom, missing=_absent(open_keys, columns))
    return Outcome(truth, atom, _sum_witness(atom, left, right, total, columns))


def _one_key(atom: Compare, form: Normal, key: Key, columns: Columns) -> Outcome:
    """coefficient * key + what is certain, against 0: one key against a threshold, decided exactly."""
    coefficient = form.terms[key]
    rest = Normal(form.constant, {k: c for k, c in form.terms.items() if k != key}, form.texts)
    certain = normal_range(rest, columns).low
    assert isinstance(certain, Fraction)
    threshold = -certain / coefficient
    op = atom.op if coefficient > 0 else atom.op.mirrored
    found = key_range(key, columns)
    truth = holds(found, op, threshold, key_can_be(key, columns, threshold))
    if truth is None:
        return Outcome(None, atom, missing=_relevant(key, op, threshold, columns))
    value = _nearest(found, threshold)
    label = None if isinstance(key, Mean) else _carrier(key, value, columns)
    witness = Witness(
        label, key.name, form.texts[key], value, op, threshold, _margin(value, op, threshold), found.certain
    )
    return Outcome(truth, atom, witness)


def _sum_witness(atom: Compare, left: Normal, right: Normal, total: Range, columns: Columns) -> Witness:
    a, b = normal_range(left, columns), normal_range(right, columns)
    if a.certain and b.certain:
        value, threshold, quantity = a.low, b.low, show_linear(atom.left)
    else:
        value, threshold = _nearest(total, Fraction(0)), Fraction(0)
        subtracted = show_linear(atom.right)
        subtracted = f"({subtracted})" if len(atom.right.terms) > 1 else subtracted
        quantity = f"{show_linear(atom.left)} - {subtracted}"
    assert isinstance(value, Fraction)
    assert isinstance(threshold, Fraction)
    return Witness(None, "", quantity, value, atom.op, threshold, _margin(value, atom.op, threshold), total.certain)


# any and all


def _quantified(atom: Quantified, columns: Columns) -> Outcome:
    column = columns[atom.name]
    form = normal(atom.right, columns)
    right = normal_range(form, columns)
    truths = [_pair_holds(r, atom.op, right) for r in column.ranges]
    truth = quantify(atom.quantifier, truths)
    entries = list(zip(column.entries, column.ranges, truths, strict=True))
    if truth is None:
        open_entries = [entry for entry, _, t in entries if t is None]
        return Outcome(None, atom, missing=_absence(atom.name, open_entries) + _absent(form.terms, columns))
    threshold = _least_favourable(atom.op, right, truth)
    # Of the defined entries with this truth: for all, the least margin (the worst violation, or the tightest
    # pass); for any, the largest (the clearest example, or the nearest miss).
    choose = min if atom.quantifier is Quantifier.ALL else max
    chosen: tuple[Fraction, Fraction, str] | None = None
    for entry, r, t in entries:
        if t is truth and isinstance(r.low, Fraction) and not isinstance(entry.value, Undefined):
            margin = _margin(r.low, atom.op, threshold)
            if chosen is None or (margin != chosen[0] and choose(margin, chosen[0]) == margin):
                chosen = margin, r.low, entry.label
    if chosen is None:
        return Outcome(truth, atom)
    margin, value, label = chosen
    witness = Witness(label, atom.name, atom.name, value, atom.op, threshold, margin, right.certain)
    return Outcome(truth, atom, witness)


def _pair_holds(entry: Range, op: Op, right: Range) -> bool | None:
    """Entry against a right side that may be open itself; they are taken as independent."""
    if isinstance(right.low, Fraction) and right.certain:
        return holds(entry, op, right.low, entry.can_be(right.low))
    if op in (Op.EQ, Op.NE):
        apart = entry.high < right.low or right.high < entry.low
        return (op is Op.NE) if apart else None
    # An order relation is monotone in both sides, so the two extreme corners decide.
    truths = {_corner(entry.low, op, right.high), _corner(entry.high, op, right.low)}
    return truths.pop() if len(truths) == 1 else None


def _corner(a: Bound, op: Op, b: Bound) -> bool:
    # Two equal infinities never meet: a lower end is never +inf and an upper end never -inf.
    if op is Op.LT:
        return a < b
    if op is Op.LE:
        return a <= b
    return a > b if op is Op.GT else a >= b


def _least_favourable(op: Op, right: Range, truth: bool) -> Fraction:
    """The end of the right side least favourable to the answer; the other one where that is infinite."""
    high_first = (op in (Op.GT, Op.GE)) == truth
    first, second = (right.high, right.low) if high_first else (right.low, right.high)
    threshold = second if isinstance(first, float) else first
    assert isinstance(threshold, Fraction)
    return threshold


# Names of values


def _word(atom: Compare, name: str, word: str, columns: Columns) -> Outcome:
    entry = columns[name].entries[0]
    truth = _word_holds(entry, atom.op, word)
    missing = _absence(name, [entry]) if truth is None else ()
    return Outcome(truth, atom, _word_witness(name, entry, atom.op, word), missing)


def _quantified_word(atom: Quantified, word: str, columns: Columns) -> Outcome:
    entries = columns[atom.name].entries
    truths = [_word_holds(entry, atom.op, word) for entry in entries]
    truth = quantify(atom.quantifier, truths)
    chosen = [entry for entry, t in zip(entries, truths, strict=True) if t is truth]
    if truth is None:
        return Outcome(None, atom, missing=_absence(atom.name, chosen))
    witnesses = [w for entry in chosen if (w := _word_witness(atom.name, entry, atom.op, word)) is not None]
    return Outcome(truth, atom, witnesses[0] if witnesses else None)


def _word_holds(entry: Entry, op: Op, word: str) -> bool | None:
    value = entry.value
    if isinstance(value, str):
        return (folded(value) == word) == (op is Op.EQ)
    if not isinstance(value, Undefined):
        raise unscorable(repr(value), "a name", entry.label)
    if entry.support.values is None:
        return None
    equal = {folded(option) == word for option in entry.support.values if isinstance(option, str)}
    return (equal.pop() == (op is Op.EQ)) if len(equal) == 1 else None


def _word_witness(name: str, entry: Entry, op: Op, word: str) -> Witness | None:
    if not isinstance(entry.value, str):
        return None
    return Witness(entry.label, name, name, entry.value, op, word, None)


# What is shown


def _nearest(found: Range, threshold: Fraction) -> Fraction:
    """The finite end of a range nearest to the threshold: the value least favourable to the answer given."""
    ends = [end for end in (found.low, found.high) if isinstance(end, Fraction)]
    return min(ends, key=lambda end: abs(end - threshold))


def _margin(value: Fraction, op: Op, threshold: Fraction) -> Fraction:
    """Signed distance to the threshold, positive on the side where the relation holds."""
    if op in (Op.GT, Op.GE):
        return value - threshold
    if op in (Op.LT, Op.LE):
        return threshold - value
    distance = abs(value - threshold)
    return distance if op is Op.NE else -distance


def _carrier(key: Key, value: Fraction, columns: Columns) -> str | None:
    """The layer whose defined value this is."""
    column = columns[key.name]
    for entry, r in zip(column.entries, column.ranges, strict=True):
        if not isinstance(entry.value, Undefined) and r.low == value:
            return entry.label
    return None


def _absence(name: str, entries: Iterable[Entry]) -> tuple[Missing, ...]:
    return tuple(Missing(e.label, name, e.value.reason) for e in entries if isinstance(e.value, Undefined))


def _absent(keys: Iterable[Key], columns: Columns) -> tuple[Missing, ...]:
    """The undefined entries behind these keys whose support leaves them open."""
    found: list[Missing] = []
    for key in keys:
        column = columns[key.name]
        pairs = zip(column.entries, column.ranges, strict=True)
        found.extend(_absence(key.name, (entry for entry, r in pairs if not r.certain)))
    return tuple(found)


def _relevant(key: Key, op: Op, threshold: Fraction, columns: Columns) -> tuple[Missing, ...]:
    """The undefined entries that can stand on either side of the threshold; only these can change it."""
    if not isinstance(key, Order):
        return _absent([key], columns)
    open_entries = []
    column = columns[key.name]
    for entry, r in zip(column.entries, column.ranges, strict=True):
        if op in (Op.EQ, Op.NE):
            fixed = r.high < threshold or r.low > threshold or r.certain
        else:
            fixed = holds(r, op, threshold, r.can_be(threshold)) is not None
        if not fixed:
            open_entries.append(entry)
    return _absence(key.name, open_entries)
