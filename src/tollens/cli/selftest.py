"""`tollens selftest`: every known answer, asked on this machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from tollens.cli.progress import progress_bar
from tollens.cli.terminal import emit, printable, unpadded
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from rich.console import Console

    from tollens.run.certificate import Answer, Certificate, Proof

SHOWN = 10
KINDS = {"instrument": "instruments", "invariant": "invariants", "statistic": "statistics"}


@click.command(name="selftest")
@click.option("--only", metavar="WHAT", help="instrument, lint, statistic, or the name of one of them.")
@click.option(
    "--prove-red",
    is_flag=True,
    help="Inject wrong formulas into each and show that its known answers notice.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate (schema tollens.selftest/1).")
@click.option("--quiet", is_flag=True, help="No progress on stderr, only the verdict on stdout.")
def command(only: str | None, prove_red: bool, as_json: bool, quiet: bool) -> int:
    """Ask every known answer of all instruments, invariants and statistics that are installed.

    The certificate is kept in $TOLLENS_CACHE, else in tollens under $XDG_CACHE_HOME or ~/.cache, for this version,
    BLAS, processor and these sources; `tollens scan` believes an instrument by it. Exit code 12 if an answer fails.
    """
    import msgspec

    with progress_bar(quiet) as progress:
        from tollens.run.selftest import selftest

        certificate = selftest(only, prove_red=prove_red, progress=progress)
    if as_json:
        emit(msgspec.json.encode(certificate) + b"\n")
    elif quiet:
        emit(f"{verdict(certificate)}  {certificate.headline}{_red(certificate)}\n")
    else:
        emit(selftest_text(certificate))
    return int(Exit.CLEAN if verdict(certificate) == "CERTIFIED" else Exit.VOID)


def verdict(certificate: Certificate) -> str:
    return "CERTIFIED" if certificate.passed and not certificate.unproved else "VOID"


def selftest_text(certificate: Certificate) -> str:
    """A certificate for a person: the verdict, what failed, a line a kind, where it is kept, the next command."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as capture:
        _show(console, certificate)
    return unpadded(capture.get())


def _show(console: Console, certificate: Certificate) -> None:
    from rich.text import Text

    said, machine = verdict(certificate), certificate.machine
    style = "bold green" if said == "CERTIFIED" else "bold red"
    count = len(certificate.answers)
    held = count - len(certificate.failed)
    told = f"{held} of {count} known answers hold{_red(certificate)}  {certificate.seconds:.1f} s"
    console.print(Text.assemble((said, style), "  ", told))
    console.print(
        f"tollens {machine.tollens}, numpy {machine.numpy}, scipy {machine.scipy}, {'; '.join(machine.blas)}, "
        f"{printable(machine.cpu)}, sha256:{machine.digest[:12]}",
        style="dim",
        markup=False,
    )
    for answer in certificate.failed[:SHOWN]:
        _answer(console, answer)
    for proof in certificate.unproved[:SHOWN]:
        _unproved(console, proof)
    hidden = max(0, len(certificate.failed) - SHOWN) + max(0, len(certificate.unproved) - SHOWN)
    if hidden:
        console.print(f"{hidden} more; --json prints them.", style="dim")
    console.print()
    _summary(console, certificate)
    for name in certificate.unanswered:
        console.print(f"note  {printable(name)} has no known answer", style="dim", markup=False)
    for name, error in certificate.skipped_plugins.items():
        console.print(f"note  plugin {printable(name)} was skipped: {printable(error)}", style="dim", markup=False)
    if certificate.kept is not None:
        console.print(f"kept  {printable(certificate.kept)}", style="dim", markup=False, soft_wrap=True)
    elif certificate.unkept is not None:
        told = f"note  not kept: {printable(certificate.unkept)}"
        console.print(told, style="dim", markup=False, soft_wrap=True)
    elif certificate.only is not None:
        console.print("note  not kept: a certificate is of everything", style="dim")
    console.print()
    console.print(Text.assemble(("next  ", "bold"), _next(certificate)))


def _summary(console: Console, certificate: Certificate) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    titles = ["", "entries", "answers", "hold", "seconds"]
    if certificate.proofs is not None:
        titles += ["mutants", "survived", "red"]
    for title in titles:
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for kind, title in KINDS.items():
        mine = [answer for answer in certificate.answers if answer.kind == kind]
        if not mine:
            continue
        right = sum(answer.passed for answer in mine)
        seconds = sum(answer.seconds for answer in mine)
        row = [title, str(len({a.name for a in mine})), str(len(mine)), str(right), f"{seconds:.2f}"]
        if certificate.proofs is not None:
            proofs = [proof for proof in certificate.proofs if proof.kind == kind]
            tried, lived = sum(len(p.mutants) for p in proofs), sum(len(p.survivors) for p in proofs)
            row += [str(tried), str(lived), f"{sum(p.proved for p in proofs)} of {len(proofs)}"]
        table.add_row(*row)
    console.print(table)
    for proof in certificate.proofs or ():
        _proof(console, proof)
    if certificate.proofs:
        console.print("\na mutant is one wrong formula; --json names those that survived", style="dim")


def _answer(console: Console, answer: Answer) -> None:
    from rich.text import Text

    within = "" if answer.tolerance is None else f" within {answer.tolerance:g}"
    console.print()
    console.print(Text.assemble((f"{answer.kind} {printable(answer.name)}", "bold"), "  ", printable(answer.title)))
    for name, text in (
        ("expected", f"{_value(answer.expected)}{within}"),
        ("got", _value(answer.got)),
        ("because", answer.derivation),
    ):
        _pair(console, name, text)


def _unproved(console: Console, proof: Proof) -> None:
    from rich.text import Text

    console.print()
    console.print(Text.assemble((f"{proof.kind} {printable(proof.name)}", "bold"), "  not proved to go red"))
    _pair(console, "why", str(proof.why))
    for mutant in proof.mutants[:3]:
        how = "no answer noticed it" if mutant.how is None else mutant.how
        _pair(console, "tried", f"{mutant.where}: {mutant.change}: {how}")


def _proof(console: Console, proof: Proof) -> None:
    """The first wrong formula that an answer noticed."""
    from rich.text import Text

    shown = proof.shown
    if shown is None:
        return
    count = f"{len(proof.mutants)} tried, {len(proof.survivors)} survived"
    console.print()
    console.print(Text.assemble((f"{proof.kind} {printable(proof.name)}", "bold"), f"  {count}"))
    _pair(console, "changed", f"{shown.where}: {shown.change}")
    _pair(console, "red", str(shown.how))


def _pair(console: Console, name: str, text: str) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=10)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"  {name}", style="dim"), Text(printable(text)))
    console.print(grid)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)


def _red(certificate: Certificate) -> str:
    if certificate.proofs is None:
        return ""
    states = Counter(proof.proved for proof in certificate.proofs)
    return f", {states[True]} of {len(certificate.proofs)} proved to go red"


def _next(certificate: Certificate) -> str:
    if certificate.failed:
        return f"tollens selftest --only {printable(certificate.failed[0].name)} --json"
    if certificate.unproved:
        return f"tollens selftest --only {printable(certificate.unproved[0].name)} --prove-red --json"
    if certificate.only is not None:
        return "tollens selftest"
    return "tollens doctor" if certificate.unkept is not None else "tollens scan YOUR_MODEL.safetensors"
