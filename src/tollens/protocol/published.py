"""The numbers of a decided study that a text may print, by field, each with its unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollens.protocol.decision import Decision, RungResult

FIELDS: Mapping[str, str] = {
    "value": "the threshold of the sealed claim, in its unit",
    "tau": "what chance alone reaches, in the unit of the claim",
    "p": "the add-one Monte-Carlo p-value of the null, in 1",
    "cells": "cells measured on the rung that decided, a count",
    "requests": "measurements made by the climb, a count",
    "seconds": "wall time of the climb, in s",
    "usd": "its sealed price, in USD",
}
"""The fields beside the claimed quantity itself, which is its sealed aggregate over the cells."""


def published(decision: Decision, study: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """(value, unit) of every field; `study` are the sealed tables of the manifest.

    A field that the climb did not come to, such as `tau` where no null was drawn, is left out.
    """
    from tollens.protocol.registration import statistic
    from tollens.protocol.study import from_plain

    claim = study["claim"]
    quantity, unit = str(claim["quantity"]), str(claim["unit"])
    made: dict[str, tuple[float, str]] = {
        "value": (float(claim["value"]), unit),
        "requests": (float(decision.spent.requests), "count"),
        "seconds": (decision.spent.seconds, "s"),
        "usd": (decision.spent.usd_micro / 1e6, "USD"),
    }
    rung = _rung(decision, quantity)
    if rung is not None:
        values = [readings[quantity] for readings in rung.readings.values() if quantity in readings]
        made[quantity] = (statistic(from_plain(study), values), unit)
        made["cells"] = (float(rung.cells), "count")
    if decision.null is not None:
        made["p"] = (decision.null.p, "1")
        if study["null"]["statistic"] == quantity:
            made["tau"] = (decision.null.tau, unit)
    return made


def _rung(decision: Decision, quantity: str) -> RungResult | None:
    """The rung that decided, or else the last one that read the claimed quantity."""
    read = [rung for rung in decision.rungs if any(quantity in cell for cell in rung.readings.values())]
    return next((rung for rung in read if rung.id == decision.rung), read[-1] if read else None)
