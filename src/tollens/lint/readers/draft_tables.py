"""What can be recognised in tables: total rows and columns, k of n with a percentage, intervals, before and after.

A column is summed only where nothing says that it is no additive quantity, and a total is held against its parts
only where no other reading of the table gives it: subtotals, sections, a mean, a part that stands above its own
parts. A relation between columns (k, n and a percentage; before, after and factor) is believed where rows show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tollens.lint.claim import Place
from tollens.lint.readers.draft_prose import truncated
from tollens.lint.readers.figures import CURRENCY, Figure, cell_figure, unit_of
from tollens.lint.readers.table import Cell, Table

MAX_CELLS, MAX_ROWS = 20_000, 300


@dataclass(frozen=True, slots=True)
class Reading:
    """A statement of a table: an invariant, what it says, and for every field a figure, or a list, with its unit."""

    place: Place
    kind: str
    text: str
    fields: dict[str, tuple[Figure, str, Place] | list[tuple[Figure, str, Place]]]


_TOTAL = re.compile(r"(?:grand |sub-?)?(?:total|sum)s?(?: \(.{1,40}\)| \w{1,15})?[:.]?|Σ", re.I)
_SUBTOTAL = re.compile(r"sub-?(?:total|sum).*", re.I)
_OTHER = re.compile(
    r"\b(?:overall|all|average|avg|mean|median|geomean|geo\.? ?mean|std|stdev|s\.?d\.?|max|min|diff\w*|delta|remaining"
    r"|change|per|p\d\d)\b|Σ|Δ|%", re.I,
)  # fmt: skip
_CHILD = re.compile(r"^(?:[\u00a0\u2003\u2002]|[-–—•↳└├→>]\s|\s{2})|\bof which\b|\bthereof\b|\bincl", re.I)
_NOT_ADDITIVE = re.compile(
    r"acc|ratio|avg|average|mean|median|\bp\d{2}|percentile|quantile|\bmax|\bmin\b|peak|score|rate|speed|throughput"
    r"|\bper\b|/|f1|bleu|rouge|auc|loss|perplexity|ppl|err|rmse|\bmae\b|\bmse\b|precision|recall|\bstd|\bsd\b|\bse\b"
    r"|\bvar|σ|\bp\b|p-?value|\bci\b|rank|index|year|date|version|\bid\b|temp|densit|efficien|util|bandwidth|freq|hz"
    r"|flops|qps|rps|latency|unique|distinct|gain|reward|elo|\bwin|pass|corr|cohen|kappa|alpha|level|depth|layer|dim"
    r"|size of|batch|length|\bage\b|iou|\bmap\b|psnr|ssim|fid|wer\b|cer\b|change|diff|delta|Δ|±|\bvs\b|factor"
    r"|threshold|x\)|#?no\.?$|prio",
    re.I,
)  # fmt: skip
_COUNTED = re.compile(
    r"\b(?:n|count|counts|number|items|tokens?|params?|parameters|files?|lines|cost|costs|price|amount|amounts|spend|usd|eur"
    r"|samples|examples|questions|documents|requests|hours|bytes|participants|users|images|rows|records|cases|tests|correct"
    r"|\$|€)(?=$|[\s)(,/])|[$€£#]", re.I,
)  # fmt: skip
_SHARE = re.compile(r"%|percent|share|proportion|fraction of", re.I)
_OVERLAP = re.compile(
    r"overlap|unique|distinct|more than one|multiple|dedup|not mutually|not sum|not add|n't add|n't sum|several"
    r"|excluding|parallel|concurrent|approximate|selected|top \d|among others|shared", re.I,
)  # fmt: skip
_SUBTRACTED = re.compile(
    r"\b(?:credits?|discounts?|offsets?|refunds?|rebates?|returns?|less|minus|deduct\w*|removed|excluded|saved|savings?)\b",
    re.I,
)
_SHARED = re.compile(
    r"\b(?:users|visitors|people|customers|patients|participants|respondents|speakers|authors|annotators|accounts"
    r"|images|papers)\b", re.I,
)  # fmt: skip
_OTHERWISE = re.compile(
    r"annual|year|month|week|dai?ly|\bper\b|excl|incl|without|w/o|\bwith\b|\bwall|units?\b|\bnet\b|\d|[x×]\b", re.I
)
_TIMES = re.compile(r"\d ?[x×](?!\w)|(?<!\w)[x×] ?\d")
_SPLIT = re.compile(r"train\w*|dev\w*|val\w*|test\w*|hold-?out|held-?out", re.I)
_CI = re.compile(r"\bCI\b|\bCrI\b|confidence|credible")
_LOW = re.compile(
    r"(?:95 ?% ?)?(?:ci |cri )?(?:\(?low(?:er)?(?: bound| limit)?\)?)(?: ?95 ?%)?(?: ci)?(?: \(%\))?", re.I
)
_HIGH = re.compile(
    r"(?:95 ?% ?)?(?:ci |cri )?(?:\(?(?:high|up(?:per)?)(?:er)?(?: bound| limit)?\)?)(?: ?95 ?%)?(?: ci)?(?: \(%\))?",
    re.I,
)
_ESTIMATE = re.compile(
    r"(?:point )?estimate|effect(?: size)?|value|accuracy(?: \(%\))?|difference|coefficient|OR|HR|RR|β", re.I
)
_BRACKET = re.compile(r"[(\[] ?(?P<low>[-−+]?[\d.]+) ?%? ?(?:,|–|—|;| to | - |-) ?(?P<high>[-−+]?[\d.]+) ?%? ?[)\]]")
_BEFORE = re.compile(r"(?:before|baseline|old|original|previous|unoptimi[sz]ed)\b.{0,24}", re.I)
_AFTER = re.compile(r"(?:after|new|ours|optimi[sz]ed|current|patched|improved|now)\b.{0,24}", re.I)
_FACTOR = re.compile(
    r"(?:speed-?up|factor|ratio|improvement|reduction|gain|savings?|change|faster|smaller)\b.{0,16}", re.I
)
_COUNT = re.compile(
    r"k|correct|passed|solved|hits|yes|count|successes|resolved|wins?|number correct|# ?correct|agreed", re.I
)
_WHOLE = re.compile(
    r"n|total|questions|problems|items|tasks|trials|tests|examples|attempted|size|cases|participants|N", re.I
)
_PERCENT = re.compile(
    r"(?:%|percent|percentage|accuracy|acc\.?|rate|pass rate|share|success rate|agreement)(?: ?[(\[]%[)\]]| %)?", re.I
)


def readings(table: Table) -> list[Reading]:
    """Every statement that is recognised in a table, by rows and then by columns."""
    if not table.body or len(table.body) > MAX_ROWS or sum(map(len, table.rows)) > MAX_CELLS:
        return []
    names = table.names
    columns = [[cell_figure(row[k].text) if k < len(row) else None for row in table.body] for k in range(len(names))]
    found = [
        *_total_rows(table, names, columns),
        *_total_column(table, names, columns),
        *_shares(table, names, columns),
    ]
    found += [*_brackets(table, names), *_low_high(table, names, columns), *_factors(table, names, columns)]
    return sorted(found, key=lambda r: (r.place.line, r.kind))


def _unit(figure: Figure, name: str) -> str:
    """The unit of a cell, or the one that the heading of its column gives."""
    if figure.unit is not None:
        return figure.unit
    for written in (*re.findall(r"[(\[]([^)\]]{1,12})[)\]]", name), name.split(" ")[-1], name.split(" ")[0]):
        unit = CURRENCY.get(written) or unit_of(written)
        if unit is not None:
            return unit
    return "1"


def _labels(table: Table) -> list[str]:
    """What each row is called: its first cell, or its second where the first is empty."""
    return [next((cell.text for cell in row[:2] if cell.text.strip()), "") for row in table.body]


def _field(figure: Figure, name: str, cell: Cell) -> tuple[Figure, str, Place]:
    return figure, _unit(figure, name), cell.place


def _total_rows(table: Table, names: list[str], columns: list[list[Figure | None]]) -> Iterator[Reading]:
    labels = _labels(table)
    totals = [i for i, label in enumerate(labels) if _TOTAL.fullmatch(label.strip())]
    if not totals or _OVERLAP.search(table.around) or any(_CHILD.search(row[0].text) for row in table.body if row):
        return
    for at in totals:
        label = labels[at].strip()
        if _SUBTOTAL.fullmatch(label) or _OTHERWISE.search(label) or re.search(r"average|time|per\b", label, re.I):
            continue
        rows = [i for i in range(at) if not _TOTAL.fullmatch(labels[i].strip())]
        skipped = [i for i in range(at) if i not in rows]
        if any(_OTHER.search(labels[i]) or _SUBTRACTED.search(labels[i]) for i in rows) or len(rows) < 2:
            continue
        for k in range(1, len(names)):
            total, parts = columns[k][at], [columns[k][i] for i in rows]
            if total is None or not _additive(names[k], total, parts):
                continue
            numbers = [p for p in parts if p is not None]
            if any(_TIMES.search(labels[i]) for i in rows) or _weighted(columns, k, rows, total):
                continue
            if _shared(names[k], [labels[i] for i in rows], numbers, total):
                continue
            others = [[v for i in range(at) if (v := columns[k][i]) is not None and i > last] for last in skipped]
            subtotals = [v for i in skipped if (v := columns[k][i]) is not None]
            tail = [v for i in rows if skipped and i > skipped[-1] and (v := columns[k][i]) is not None]
            alternatives = [*others, subtotals, [*subtotals, *tail]]
            if not _sums(numbers, total) and not _only_a_total(numbers, total, alternatives, names[k]):
                continue
            cells = [_field(p, names[k], table.body[i][k]) for i, p in zip(rows, parts, strict=True) if p is not None]
            yield _sum(table.body[at][k], f"{label}: {names[k]}", cells, _field(total, names[k], table.body[at][k]))


def _weighted(columns: list[list[Figure | None]], k: int, rows: Sequence[int], total: Figure) -> bool:
    """Whether another column, of quantities, times this one adds to the total: prices of one piece each."""
    for j, others in enumerate(columns):
        pairs = [(columns[k][i], others[i]) for i in rows] if j != k else []
        made = [(p.value, p.number.step, w.value) for p, w in pairs if p is not None and w is not None]
        if len(made) == len(rows) and any(w != 1 for *_, w in made):
            slack = (total.number.step + sum((step * abs(w) for _, step, w in made), Decimal(0))) / 2
            if abs(sum((p * w for p, _, w in made), Decimal(0)) - total.value) <= slack:
                return True
    return False


def _shared(name: str, labels: Sequence[str], parts: Sequence[Figure], total: Figure) -> bool:
    """Whether a total below its parts may count each person or image once, though several rows have it."""
    if _SHARED.search(name) is None or all(_SPLIT.fullmatch(label.strip()) for label in labels):
        return False
    values = [p.value for p in parts]
    return max(values) <= total.value < sum(values, Decimal(0))


def _sum(cell: Cell, text: str, parts: list[tuple[Figure, str, Place]], total: tuple[Figure, str, Place]) -> Reading:
    money = total[1] in CURRENCY.values() and all(part[1] == total[1] for part in parts)
    name = "amounts" if money else "parts"
    return Reading(cell.place, "acct.money" if money else "acct.sum", text[:160], {name: parts, "total": total})


def _additive(name: str, total: Figure, parts: Sequence[Figure | None]) -> bool:
    """Whether the cells of a column can be summed, by its heading and by what stands in it."""
    if any(p is None or p.number.mark or p.rest.startswith(("±", "[")) for p in [*parts, total]):
        return False
    cells = [p for p in [*parts, total] if p is not None]
    unit = _unit(total, name)
    if unit == "%" or _SHARE.search(name):
        whole = total.value == 100 and all(0 <= p.value <= 100 for p in cells)
        return whole and len({_unit(p, name) for p in cells}) == 1 and not re.search(r"acc|err|rate|score", name, re.I)
    if len({p.unit for p in cells}) > 1 or any(p.value < 0 for p in cells) or unit in ("pp", "token/s", "request/s"):
        return False
    return not _NOT_ADDITIVE.search(name)


def _sums(parts: Sequence[Figure], total: Figure) -> bool:
    """Whether the parts add to the total within the rounding of all of them."""
    slack = (total.number.step + sum((p.number.step for p in parts), Decimal(0))) / 2
    return abs(sum((p.value for p in parts), Decimal(0)) - total.value) <= slack


def _only_a_total(parts: list[Figure], total: Figure, others: list[list[Figure]], name: str) -> bool:
    """Whether a total that its parts do not give can be nothing else than their sum."""
    if any(_sums(other, total) for other in others if other):
        return False
    values = [p.value for p in parts]
    counted = _COUNTED.search(name) is not None or _unit(total, name) not in ("1",)
    if not counted and min(values) <= total.value <= max(values):
        return False  # it could be a mean
    mean = sum(values, Decimal(0)) / len(values)
    if abs(mean - total.value) <= total.number.step or total.value in (max(values), min(values)):
        return False
    for start in range(min(len(parts), 60)):
        for end in range(start + 2, min(len(parts), start + 30) + 1):
            if (end - start < len(parts) and _sums(parts[start:end], total)) or (
                end < len(parts) and values[start] > 0 and _sums(parts[start + 1 : end + 1], parts[start])
            ):
                return False  # a section of the table, or a row above its own parts
    return True


def _total_column(table: Table, names: list[str], columns: list[list[Figure | None]]) -> Iterator[Reading]:
    """A last column Total beside columns of one unit, where most rows show that it is their sum."""
    k = len(names) - 1
    if (
        k < 3
        or not re.fullmatch(r"total|sum|Σ", re.sub(r" ?\(.*\)", "", names[k]).strip(), re.I)
        or _OVERLAP.search(table.around)
    ):
        return
    others = range(1, k)
    found: list[tuple[bool, Reading]] = []
    for i, row in enumerate(table.body):
        total, parts = columns[k][i], [columns[j][i] for j in others]
        numbers = [p for p in parts if p is not None]
        if total is None or len(numbers) < len(parts):
            continue
        if not all(_additive(names[j], total, [p]) for j, p in zip(others, numbers, strict=True)):
            return
        cells = [_field(p, names[j], row[j]) for j, p in zip(others, numbers, strict=True)]
        label = row[0].text.strip()
        made = _sum(row[k], f"{label}: {names[k]}", cells, _field(total, names[k], row[k]))
        found.append((_sums(numbers, total), made))
    yield from _believed(found)


def _believed(found: list[tuple[bool, Reading]], least: int = 2) -> list[Reading]:
    """The readings of a relation that at least `least` rows show, and more than those that break it."""
    good = sum(fits for fits, _ in found)
    return [made for _, made in found] if good >= least and good > len(found) - good else []


def _columns_named(names: list[str], pattern: re.Pattern[str]) -> list[int]:
    return [k for k, name in enumerate(names) if pattern.fullmatch(re.sub(r"\s*\((?!%).*\)", "", name).strip())]


def _shares(table: Table, names: list[str], columns: list[list[Figure | None]]) -> Iterator[Reading]:
    """k, n and the percentage in three columns, where the rows show that they belong together."""
    ks, ns, ps = (_columns_named(names, pattern) for pattern in (_COUNT, _WHOLE, _PERCENT))
    if len(ks) != 1 or len(ns) != 1 or len(ps) != 1 or len({ks[0], ns[0], ps[0]}) < 3:
        return
    found: list[tuple[bool, Reading]] = []
    for i, row in enumerate(table.body):
        k, n, p = columns[ks[0]][i], columns[ns[0]][i], columns[ps[0]][i]
        if any(_OTHER.search(cell.text) or _TOTAL.fullmatch(cell.text) for cell in row[:1]):
            continue  # the rate of a whole may be the mean of the rates
        if k is None or n is None or p is None or not (k.number.is_integer and n.number.is_integer) or n.value <= 0:
            continue
        if not 0 <= k.value <= n.value or (_unit(p, names[ps[0]]) != "%" and not 1 < p.value <= 100) or p.number.mark:
            continue
        fits = abs(100 * k.value / n.value - p.value) <= p.number.step / 2
        if not fits and truncated(p.number.text, int(k.value), int(n.value)):
            continue
        fields = {
            "elapsed": (k, "count", row[ks[0]].place), "total": (n, "count", row[ns[0]].place),
            "fraction": (p, "%", row[ps[0]].place),
        }  # fmt: skip
        found.append((fits, Reading(row[0].place, "acct.elapsed", _row_text(row), dict(fields))))
    yield from _believed(found)


def _row_text(row: Sequence[Cell]) -> str:
    return " | ".join(cell.text for cell in row)[:160]


def _brackets(table: Table, names: list[str]) -> Iterator[Reading]:
    """Cells such as `81.2 [78.1, 84.0]` where the heading or the text beside the table speaks of intervals."""
    for row in table.body:
        for k, cell in enumerate(row[: len(names)]):
            figure = cell_figure(cell.text) if "[" in cell.text or "(" in cell.text else None
            match = _BRACKET.fullmatch(figure.rest.strip()) if figure is not None else None
            if figure is None or match is None or not _CI.search(f"{names[k]} {table.around}"):
                continue
            ends = [cell_figure(match["low"]), cell_figure(match["high"])]
            if (
                ends[0] is None
                or ends[1] is None
                or {e.decimals for e in (figure, ends[0], ends[1])} != {figure.decimals}
            ):
                continue
            if figure.decimals == 0 and not _CI.search(names[k]):
                continue
            unit = _unit(figure, names[k])
            yield Reading(cell.place, "stat.interval", f"{row[0].text}: {cell.text}"[:160],
                          {"low": (ends[0], unit, cell.place), "estimate": (figure, unit, cell.place),
                           "high": (ends[1], unit, cell.place)})  # fmt: skip


def _low_high(table: Table, names: list[str], columns: list[list[Figure | None]]) -> Iterator[Reading]:
    """Estimate, low and high in three columns side by side."""
    for k in range(2, len(names) - 1):
        low, high = names[k].strip(), names[k + 1].strip()
        if not (_LOW.fullmatch(low) and _HIGH.fullmatch(high) and _ESTIMATE.fullmatch(names[k - 1].strip())):
            continue
        if not _CI.search(f"{low} {high} {table.around}"):
            continue
        for i, row in enumerate(table.body):
            cells = [(f, row[j]) for j in (k, k - 1, k + 1) if (f := columns[j][i]) is not None]
            if len(cells) == 3 and len({f.decimals for f, _ in cells}) == 1:
                unit = _unit(cells[1][0], names[k - 1])
                fields = {
                    name: (f, unit, cell.place)
                    for name, (f, cell) in zip(("low", "estimate", "high"), cells, strict=True)
                }
                yield Reading(row[0].place, "stat.interval", _row_text(row), dict(fields))


def _factors(table: Table, names: list[str], columns: list[list[Figure | None]]) -> Iterator[Reading]:
    """Before, after and factor in three columns; the factor is read only where its cell or heading says x or %."""
    bs, as_, fs = (_columns_named(names, pattern) for pattern in (_BEFORE, _AFTER, _FACTOR))
    if len(bs) != 1 or len(as_) != 1 or len(fs) != 1 or re.search(r"geomean|median|mean of", table.around, re.I):
        return
    found: list[tuple[bool, Reading]] = []
    for i, row in enumerate(table.body):
        before, after, factor = columns[bs[0]][i], columns[as_[0]][i], columns[fs[0]][i]
        if (
            before is None
            or after is None
            or factor is None
            or _OTHER.search(row[0].text)
            or _TOTAL.fullmatch(row[0].text)
        ):
            continue
        sign = factor.unit or ("1" if re.search(r"speed-?up|[(\[][x×][)\]]", names[fs[0]], re.I) else None)
        sign = "%" if sign is None and "%" in names[fs[0]] else sign
        units = _unit(before, names[bs[0]]), _unit(after, names[as_[0]])
        if sign not in ("1", "%") or min(before.value, after.value) <= 0 or "%" in units or factor.number.mark:
            continue
        improvement = (Figure(factor.number, sign), sign, row[fs[0]].place)
        if factor.value < 0:
            continue
        fields = {
            "before": (before, units[0], row[bs[0]].place), "after": (after, units[1], row[as_[0]].place),
            "improvement": improvement,
        }  # fmt: skip
        found.append(
            (_gives(before, after, factor, sign), Reading(row[0].place, "acct.ratio", _row_text(row), dict(fields)))
        )
    yield from _believed(found, 1)


def _gives(before: Figure, after: Figure, factor: Figure, sign: str) -> bool:
    """Whether some usual reading of before and after gives the factor, by their printed digits."""
    b, a = before.value, after.value
    scale = 100 if sign == "%" else 1
    values = [b / a, a / b, 1 - a / b, 1 - b / a, b / a - 1, a / b - 1]
    near = factor.number.step + abs(factor.value) / 100
    return any(abs(scale * value - factor.value) <= near for value in values)
