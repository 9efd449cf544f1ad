from __future__ import annotations

import pytest

from tollens.core.errors import TollensError
from tollens.lint.claim import Claim, Quantity
from tollens.lint.readers.document import Document
from tollens.lint.readers.latex import latex_claims, latex_plain


def read(text: str) -> Document:
    return latex_claims("p.tex", text)


def digits(claim: Claim, name: str) -> list[tuple[str, str | None]]:
    entry = claim.fields[name]
    return [
        (q.number.text, q.unit) for q in (entry if isinstance(entry, tuple) else (entry,)) if isinstance(q, Quantity)
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"\tnum{a.x}{0.913}{1}", ("0.913", "1")),
        (r"\tnum {a.x} {29.8\%} {\%}", ("29.8", "%")),
        ("\\tnum{a.x}%\n{$-0.4$}{1}", ("-0.4", "1")),
        (r"\tnum{a.x}{\textbf{\num{1234.5}}}{ms}", ("1234.5", "ms")),
        (r"\tnum{a.x}{1\,234}{ms}", ("1,234", "ms")),
        (r"\tnum{a.x}{1{,}234}{ms}", ("1,234", "ms")),
        (r"\tnum{a.x}{\SI{5.0}{\milli\second}}{}", ("5.0", "ms")),
        (r"\tnum{a.x}{$3\times 10^{-4}$}{1}", ("3e-4", "1")),
        (r"\tnum{a\_b.x\_y}{5}{1}", ("5", "1")),
        (r"\tnum{a.x}{$\sim$5}{s}", ("~5", "s")),
    ],
)
def test_a_number_is_read_as_it_is_typeset(text: str, number: tuple[str, str | None]) -> None:
    (claim,) = read(f"Text 1 {text} text.").claims
    assert [digits(claim, name) for name in claim.fields] == [[number]]


@pytest.mark.parametrize(
    "text",
    [r"\newcommand{\tnum}[3]{#2}", r"\newcommand\tnum[3]{#2}", r"\def\tnum#1#2#3{#2}", r"% \tnum{a.x}{1}{1}",
     r"100\\% \tnum{a.x}{1}{1}", "\\begin{verbatim}\n\\tnum{a.x}{1}{1}\n\\end{verbatim}", r"\tnumber{a.x}{1}{1}",
     "\\begin{lstlisting}[x]\n% t:claim a\n\\end{lstlisting}"],
)  # fmt: skip
def test_what_is_no_tag_is_not_read(text: str) -> None:
    assert read(text).claims == ()


def test_text_after_a_per_cent_sign_that_is_printed_is_read() -> None:
    assert len(read(r"100\% \tnum{a.x}{1}{1} \begin{verbatim}x\end{verbatim} \tnum{a.y}{2}{1}").claims[0].fields) == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (r"\tnum{a.x}{good}{1}", "lint_number"),
        (r"\tnum{a.x}{$0.4 \pm 0.1$}{1}", "lint_number"),
        (r"\tnum{a.x}{5}", "lint_syntax"),
        (r"\tnum{a.x}{5", "lint_syntax"),
        (r"\tnum", "lint_syntax"),
        (r"\tnum{ax}{5}{1}", "lint_syntax"),
        (r"\tnum{a.x}{5\%}{1}", "lint_unit"),
        (r"\tnum{a.x}{5}{furlong}", "lint_unit"),
        ("% t:a.x unit=1", "lint_syntax"),
        ("% t:table a mean_ms=2", "lint_syntax"),
    ],
)
def test_a_tag_that_cannot_be_read_is_named(text: str, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        read(f"First.\n{text}")
    assert caught.value.code == code
    assert caught.value.subject.startswith("p.tex:2")


TABLE = r"""
\begin{table}
% t:claim lat kind=acct.sum
% t:table id=lat mean_ms=2 count_count=4
\begin{tabular}{lr@{\,}lr}
\toprule
 & \multicolumn{2}{c}{Time} & \\
\cmidrule(lr){2-3}
Stage & Mean & Note & Count \\
\midrule
a & \SI{1000}{\milli\second} & 5 \& more & 1\,200\\[2pt]
\multirow{2}{*}{b} & \num{5} & x & 300 \\
\midrule
\textbf{Total} & \textbf{1\,005} & & \textbf{1,500}$^{\dagger}$ \\
\bottomrule
\end{tabular}
\end{table}
"""


def test_a_tabular_gives_one_claim_a_column() -> None:
    document = read(TABLE)
    mean, count = document.claims
    assert (mean.id, mean.kinds, mean.place.line) == ("lat.mean_ms", ("acct.sum",), 11)
    assert digits(mean, "parts") == [("1000", "ms"), ("5", "ms")]
    assert digits(mean, "total") == [("1,005", "ms")]
    assert digits(count, "parts") == [("1,200", "count"), ("300", "count")]
    assert digits(count, "total") == [("1,500", "count")]
    assert [use.place.line for use in document.uses] == [11, 12, 14, 11, 12, 14]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"\textbf{1\,234}~ms", "1\u2009234\u00a0ms"),
        (r"$0.42 \pm 0.05$", "0.42 ±0.05"),
        (r"\qty[round-mode=none]{8}{\giga\byte\per\second}", "8 GB/s"),
        (r"\textcolor{red}{5}\footnote{see 7}\cite{doe2019}", "5"),
        (r"\$12.40 \& 5\%", "$12.40 & 5%"),
        (r"5$^{*}$ 6$^{\dagger}$", "5 6"),
    ],
)
def test_macros_are_read_as_what_they_typeset(text: str, shown: str) -> None:
    assert latex_plain(text) == shown
