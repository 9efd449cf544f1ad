"""Names that are too long for a table."""

from __future__ import annotations

import pytest

from tollens.cli.terminal import elided

LONG = "model.layers.11.self_attn.k_proj.weight"


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [
        (LONG, 40, "model.layers.11.self_attn.k_proj"),
        (LONG, 30, "…layers.11.self_attn.k_proj"),
        (LONG, 21, "…11.self_attn.k_proj"),
        (LONG, 14, "…11…k_proj"),
        ("layers.1.weight", 14, "layers.1"),
        ("model.layers.3.mlp.experts.17.down_proj.weight", 14, "…3…17…own_proj"),
        ("h.5.attn.c_attn.weight[q]", 12, "…5…c_attn[q]"),
        ("a_name_without_any_parts", 14, "…out_any_parts"),
        (f"model.3.{'y' * 50}", 14, "…3…yyyyyyyyyyy"),
        ("42", 14, "42"),
    ],
)
def test_names_are_shortened_where_they_tell_least(name: str, width: int, short: str) -> None:
    assert elided(name, width) == short


def test_the_numbers_of_layers_survive_and_the_width_holds() -> None:
    names = [f"model.layers.{i}.self_attn.{p}_proj.weight" for i in range(128) for p in "qkvo"]
    short = {elided(name, 14) for name in names}
    assert len(short) == len(names)
    wild = [
        "x" * 99,
        ".".join("1234567890" * 5),
        "a..b." + "…" * 30,
        "." * 40,
        f"{'9' * 40}.weight",
        "model.3." + "y" * 50,
    ]
    assert all(len(elided(name, width)) <= width for name in [*names, *wild] for width in range(5, 40))
