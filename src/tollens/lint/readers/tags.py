"""The language of tags, common to Markdown and LaTeX, and how tagged numbers become claims.

    t:ID.FIELD unit=ms                       the number right before it is this field
    t:ID.FIELD[] unit=ms                     ... is the next of a list
    t:ID.FIELD[prefill] unit=ms              ... is the item of a list that has this label
    t:claim ID kind=acct.sum sequential=true percentile=mean alpha=0.05:1 seeds=paper, edges=a->b,b->c
    t:table ID row=stage mean_ms=2 p99_ms=3 total=Total
    t:table ID each=row percent=2:% n=3:count
    t:cite ID as=survived
    t:figure FILE data=ID from=0123456789ab

`t:` is followed by no blank; a comment `t: todo` is none of ours.

Options of a number are `unit`, `exact`, `measured`, `estimator` and `from`. Without `unit` the one printed beside
the number is taken. The id may also be written `id=ID`. Values with spaces stand in double quotes. `t:cite`, `t:figure`
and a number with `from` bind a text to the record of a study: `tollens drift` judges them, and they make no claim.

`t:claim` says what the text does not print: `kind` (one id, or several with commas; auto by default), `text`,
`source`, `expect`; any other key is a field: true or false is a flag, `0.05:1` a number with its unit, `a->b,c->d`
edges, a value with a comma a list of words (`paper,` is a list of one), anything else a word.

`t:table` maps the columns, counted from 1, of the table that follows it. Without `each=row` every column it
names is one claim, `ID.COLUMN`: the cells of the rows are its list `parts` (another name with `into=amounts`), the
cell of the row labelled `total=LABEL`, by default Total or Sum, its `total`; rows named in `skip="A,B"` and empty
cells are left out. The last word of a column's name is its unit (`_ms`, `_USD`, `_count`; `_pct` for %), and
`mean`, `median` or `p99` in it is the statistic, the field `percentile`. With `each=row` every row is one claim,
`ID.LABEL`, and the columns are its fields, written `FIELD=COLUMN:UNIT`. The label of a row stands in the column
`label=K`, by default the first. What `t:claim ID` says holds for every claim of the table ID.
With `from=HASH`, with each=row `from=HASH,-,HASH` in the order of the rows, the cells are numbers of a study and make
no claim.

Two tags of one field must agree within their rounding; the one with more digits is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tollens.core.errors import TollensError
from tollens.lint.claim import AUTO, Claim, Entry, Place, Quantity
from tollens.lint.finding import Finding
from tollens.lint.number import parse_number
from tollens.lint.readers.document import Document, Use, syntax
from tollens.lint.readers.figures import Figure
from tollens.lint.unit import parse_unit

MAX_TAG = 4000
FROM = "from"
"""The option of a number that was written from the record of a study."""
BOUND = frozenset({"cite", "figure"})
"""Heads of tags that bind a text to a record and give no number."""
RESERVED = ("kind", "text", "source", "expect")
_WORD = re.compile(r'\s*(?:(?P<key>[^\s="]+)(?:(?P<is>=)(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]*)))?)')
_HEAD = re.compile(r"\s*t:(?!\s)")
_TARGET = re.compile(r"(?P<claim>[\w-]+(?:\.[\w-]+)*)\.(?P<field>\w+)(?P<item>\[[^\[\]]*\])?")
_ID = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_VALUED = re.compile(r"(?P<digits>[~<>]?[-+−]?[\d.,]+(?:[eE][-+]?\d+)?):(?P<unit>\S+)")


@dataclass(frozen=True, slots=True)
class Tag:
    """The body of a tag after `t:`: its first word, its options, its place."""

    head: str
    options: Mapping[str, str]
    place: Place

    @property
    def id(self) -> str:
        """The id of a claim or table tag."""
        name = self.options.get("id", "")
        if not _ID.fullmatch(name) or len(name) > 200:
            raise syntax(
                self.place, "an id of letters, digits, - and .", repr(name)[:60], "Write t:claim ID key=value."
            )
        return name


@dataclass(frozen=True, slots=True)
class Tagged:
    """A number that a tag gives to a field; `item` is None, or the label of an item of a list ("" for the next)."""

    claim: str
    field: str
    item: str | None
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Marked:
    """What the tags of one text say, in order, before it is put together."""

    path: str
    numbers: list[Tagged] = field(default_factory=list)
    stated: list[Tag] = field(default_factory=list)
    families: dict[str, list[str]] = field(default_factory=dict)
    words: list[tuple[str, str, str]] = field(default_factory=list)


def tag_body(comment: str) -> str | None:
    """What stands behind `t:` in a comment; None for a comment that is no tag, such as `t: todo`."""
    found = _HEAD.match(comment)
    return None if found is None else comment[found.end() :]


def option_span(body: str, key: str) -> tuple[int, int] | None:
    """Where `key=value` stands in the body of a tag that `parse_tag` reads; None where it has no such option."""
    at = 0
    while (match := _WORD.match(body, at)) is not None and match.end() > at:
        if match["key"] == key and match["is"]:
            return match.start("key"), match.end()
        at = match.end()
    return None


def parse_tag(body: str, place: Place) -> Tag:
    """Read the body of a tag. Raises TollensError `lint_syntax` or `lint_duplicate`."""
    if len(body) > MAX_TAG:
        raise syntax(place, f"a tag of at most {MAX_TAG:,} characters", f"{len(body):,}", "Close the tag.")
    words: list[tuple[str, str | None]] = []
    at = 0
    body = body.rstrip()
    while at < len(body):
        match = _WORD.match(body, at)
        if match is None or match.end() == at:
            raise syntax(place, "words and key=value", repr(body[at : at + 40]), "Put values with spaces in quotes.")
        quoted = match["quoted"] if match["quoted"] is not None else match["bare"]
        words.append((match["key"], quoted if match["is"] else None))
        at = match.end()
    if not words or words[0][1] is not None:
        raise syntax(place, "t:ID.FIELD, t:claim or t:table", repr(body[:40]), "Name what the tag is for.")
    head = words[0][0]
    options: dict[str, str] = {}
    rest = words[1:]
    if (head in ("claim", "table") or head in BOUND) and rest and rest[0][1] is None:
        rest = [("id", rest[0][0]), *rest[1:]]
    for key, value in rest:
        if value is None:
            raise syntax(place, "key=value", repr(key)[:60], "Give the key a value.")
        if key in options:
            raise TollensError(
                "lint_duplicate", str(place), expected="each key once", found=repr(key)[:60], fix="Remove one of them."
            )
        options[key] = value
    return Tag(head, options, place)


def tag_number(tag: Tag, found: Figure) -> Tagged:
    """The number that stands before a tag `ID.FIELD`. Raises TollensError `lint_syntax` or `lint_unit`."""
    target = _TARGET.fullmatch(tag.head)
    if target is None or len(tag.head) > 200:
        raise syntax(tag.place, "t:ID.FIELD, t:claim or t:table", repr(tag.head)[:60], "Name claim and field.")
    unknown = tag.options.keys() - {"unit", "exact", "measured", "estimator", "from"}
    if unknown:
        raise syntax(tag.place, "unit=, exact=, measured=, estimator= or from=", repr(min(unknown))[:60], "Remove it.")
    flags = {key: _flag(tag, key) for key in ("exact", "measured")}
    unit = tag.options.get("unit")
    if unit is not None:
        check_unit(unit, found.unit, tag.place)
    quantity = Quantity(
        found.number, unit or found.unit, tag.place, flags["exact"], flags["measured"], tag.options.get("estimator")
    )
    item = target["item"]
    return Tagged(target["claim"], target["field"], None if item is None else item[1:-1], quantity)


def check_unit(unit: str, printed: str | None, place: Place) -> None:
    """Refuse a unit that does not exist, or one that rescales the one printed beside the number."""
    named = parse_unit(unit, str(place))
    ratio = None if printed is None else parse_unit(printed, str(place)).ratio(named)
    if ratio not in (None, 1):
        raise TollensError(
            "lint_unit",
            str(place),
            expected=f"the unit that is printed, {printed}",
            found=f"unit={unit}",
            fix="Name the unit of the digits; conversions are made for you.",
        )


def _flag(tag: Tag, key: str) -> bool | None:
    value = tag.options.get(key)
    if value not in (None, "true", "false"):
        raise syntax(tag.place, f"{key}=true or {key}=false", repr(value)[:60], "Correct it.")
    return None if value is None else value == "true"


def assemble(marked: Marked, seen: int) -> Document:
    """The claims that the tags of a text make, in the order of their first tag, and the fields that disagree."""
    places: dict[str, Place] = {}
    for tagged in marked.numbers:
        places.setdefault(tagged.claim, tagged.quantity.place)
    stated: dict[str, Tag] = {}
    for tag in marked.stated:
        if tag.id in stated:
            raise TollensError(
                "lint_duplicate",
                str(tag.place),
                expected="one t:claim for each id",
                found=f"{tag.id!r}, stated at {stated[tag.id].place}",
                fix="Put all keys into one tag.",
            )
        stated[tag.id] = tag
        for name in marked.families.get(tag.id, [tag.id]):
            places.setdefault(name, tag.place)
    entries: dict[str, dict[str, Entry]] = {name: {} for name in places}
    restated: list[Finding] = []
    for (claim, key), found in _grouped(marked.numbers).items():
        entries[claim][key] = _merged(claim, key, found, restated)
    for claim, key, word in marked.words:
        entries[claim].setdefault(key, word)
    owner = {name: family for family, names in marked.families.items() for name in names}
    claims = []
    for name, fields in sorted(entries.items(), key=lambda entry: places[entry[0]].line):
        said = stated.get(name) or stated.get(owner.get(name, ""))
        claims.append(_claim(name, places[name], fields, said))
    uses = tuple(
        Use(t.claim, t.field + ("" if t.item is None else f"[{t.item}]"), t.quantity.place, t.quantity.number.text)
        for t in marked.numbers
    )
    return Document(marked.path, tuple(claims), max(seen, len(uses)), len(uses), tuple(restated), uses)


def _grouped(numbers: Sequence[Tagged]) -> dict[tuple[str, str], list[Tagged]]:
    grouped: dict[tuple[str, str], list[Tagged]] = {}
    for tagged in numbers:
        grouped.setdefault((tagged.claim, tagged.field), []).append(tagged)
    return grouped


def _merged(claim: str, name: str, found: list[Tagged], restated: list[Finding]) -> Entry:
    """One quantity, or a list where the tags are of items."""
    if all(t.item is None for t in found):
        return _agreed(claim, name, [t.quantity for t in found], restated)
    if any(t.item is None for t in found):
        raise syntax(
            found[0].quantity.place, f"{name} as a number or as a list", "both", "Write [] in every tag of it."
        )
    items: dict[str, list[Quantity]] = {}
    for place, tagged in enumerate(found):
        items.setdefault(tagged.item or f"[{place}]", []).append(tagged.quantity)
    return tuple(_agreed(claim, f"{name}[{label}]", same, restated) for label, same in items.items())


def _agreed(claim: str, name: str, found: list[Quantity], restated: list[Finding]) -> Quantity:
    kept = found[0]
    for other in found[1:]:
        if not _agree(kept, other):
            restated.append(_disagreement(claim, name, kept, other))
        elif other.number.step < kept.number.step:
            kept = other
    return kept


def _agree(first: Quantity, second: Quantity) -> bool:
    left, right = first.number.range(bool(first.exact)), second.number.range(bool(second.exact))
    if first.unit is not None and second.unit is not None:
        ratio = parse_unit(second.unit, str(second.place)).ratio(parse_unit(first.unit, str(first.place)))
        if ratio is None:
            return False
        right = right * ratio.numerator / ratio.denominator
    return left.meets(right)


def _disagreement(claim: str, name: str, first: Quantity, second: Quantity) -> Finding:
    shown = [f"{q.number.text}{f' {q.unit}' if q.unit not in (None, '1') else ''} ({q.place})" for q in (first, second)]
    return Finding(
        id=claim,
        path=second.place.path,
        line=second.place.line,
        text="",
        invariant=None,
        outcome="refuted",
        subtype="contradicted",
        witness=f"inconsistent restatement: {name} = {shown[0]} is not {shown[1]}",
        settle="say which of the two it is",
    )


def _claim(name: str, place: Place, fields: dict[str, Entry], tag: Tag | None) -> Claim:
    if tag is None:
        return Claim(name, "", AUTO, place, fields)
    for key, value in tag.options.items():
        if key in (*RESERVED, "id"):
            continue
        if isinstance(fields.get(key), str):  # what the name of a column says is said of that column
            continue
        if key in fields:
            raise TollensError(
                "lint_duplicate",
                str(tag.place),
                expected=f"{key} in one tag",
                found=f"{key} in t:claim and behind a number",
                fix="Remove one of them.",
            )
        fields[key] = _stated(value, tag.place)
    kinds = tuple(kind for kind in tag.options.get("kind", "auto").split(",") if kind)
    text, source, expect = (tag.options.get(key) for key in ("text", "source", "expect"))
    return Claim(name, text or "", kinds or AUTO, place, fields, expect, source=source)


def _stated(value: str, place: Place) -> Entry:
    if value in ("true", "false"):
        return value == "true"
    number = _VALUED.fullmatch(value)
    if number is not None:
        parse_unit(number["unit"], str(place))
        return Quantity(parse_number(number["digits"], str(place)), number["unit"], place)
    parts = [part for part in value.split(",") if part]
    if parts and all("->" in part for part in parts):
        pairs = [part.partition("->") for part in parts]
        return tuple((a, b) for a, _, b in pairs)
    return tuple(parts) if "," in value else value
