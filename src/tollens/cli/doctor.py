"""`tollens doctor`: what is installed and whether it has been certified here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tollens.cli.terminal import emit, printable, unpadded
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollens.run.doctor import Diagnosis


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema tollens.doctor/1).")
def command(as_json: bool) -> int:
    """List version, machine, BLAS, threads, extras, plugins and the certificate of `tollens selftest`.

    Exit code 12 if the certificate says that a known answer fails on this machine.
    """
    import msgspec

    from tollens.run.doctor import diagnose

    found = diagnose()
    emit(msgspec.json.encode(found) + b"\n" if as_json else doctor_text(found))
    return int(Exit.VOID if found.certificate.state == "failed" else Exit.CLEAN)


def doctor_text(found: Diagnosis) -> str:
    """A diagnosis for a person: the certificate first, then the machine, the extras, the plugins."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    state = found.certificate.state
    style = {"valid": "bold green", "failed": "bold red"}.get(state, "bold yellow")
    console = Console(highlight=False)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in _rows(found):
        grid.add_row(Text(name, style="bold"), Text(printable(text)))
    with console.capture() as capture:
        console.print(Text.assemble((_VERDICT[state], style), f"  {_standing(found)}"))
        console.print()
        console.print(grid)
        console.print()
        console.print(Text.assemble(("next  ", "bold"), "tollens selftest" if state != "valid" else _SCAN))
    return unpadded(capture.get())


_SCAN = "tollens scan YOUR_MODEL.safetensors"
_VERDICT = {"valid": "CERTIFIED", "failed": "VOID"} | dict.fromkeys(("stale", "absent", "unreadable"), "UNCERTIFIED")


def _standing(found: Diagnosis) -> str:
    held = found.certificate
    if held.state == "valid":
        return f"{held.answers} known answers hold here, asked {held.started}"
    if held.state == "failed":
        return printable(f"{held.why}, asked {held.started}")
    return f"no certificate of this machine: {held.state}"


def _rows(found: Diagnosis) -> Iterator[tuple[str, str]]:
    machine, held = found.machine, found.certificate
    for failed in held.failed[:10]:
        yield "failed", failed
    if len(held.failed) > 10:
        yield "", f"and {len(held.failed) - 10} more"
    if held.state not in ("valid", "failed"):
        yield "why", str(held.why)
    yield "tollens", f"{machine.tollens}  sha256:{machine.digest[:12]}"
    yield "python", f"{machine.python}  {found.executable}"
    yield "machine", f"{machine.cpu}, {found.cores} cores, {machine.platform}"
    yield "numbers", f"numpy {machine.numpy}, scipy {machine.scipy}"
    yield "BLAS", "; ".join(machine.blas) or "none found"
    yield "threads", ", ".join(map(str, found.threads)) or "none"
    for extra in found.extras:
        yield "extra", f"{extra.name}: complete" if not extra.missing else f"{extra.name}: {_lacks(extra.missing)}"
        if extra.command is not None:
            yield "", extra.command
    for plugin in found.plugins:
        brought = ", ".join((*plugin.instruments, *plugin.invariants, *plugin.statistics, *plugin.rungs)) or "nothing"
        yield "plugin", f"{plugin.name} ({plugin.module}): {plugin.error or brought}"
    if not found.plugins:
        yield "plugin", "none installed"
    yield "cache", f"{found.cache}  (${found.cache_variable} names another)"


def _lacks(missing: list[str]) -> str:
    return f"lacks {', '.join(missing)}"
