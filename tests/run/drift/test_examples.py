"""What a text shows as an example binds it to nothing."""

from __future__ import annotations

import pytest

from tollens.lint.readers.paper import read_paper

TAG = "0.5<!--t:a.b unit=pp-->"
MACRO = r"\tnum{a.b}{0.5}{pp}"
MARKDOWN = {
    "a fence": f"```\n{TAG}\n```\n",
    "a fence of tildes": f"~~~md\n{TAG}\n~~~\n",
    "a fence four spaces deep in a list": f"1.  Do:\n\n    ```text\n    {TAG}\n    ```\n",
    "a fence right behind a bullet": f"- ```text\n  {TAG}\n  ```\n",
    "a fence in a list of lists": f"- a\n  - b\n    - c\n\n      ```\n      {TAG}\n      ```\n",
    "a fence behind a tab": f"-\t```\n\t{TAG}\n\t```\n",
    "a fence in a quotation": f"> ```\n> {TAG}\n> ```\n",
    "a fence of four": f"````md\n```\n{TAG}\n```\n{TAG}\n````\n",
    "a fence that shows a list of fences": f"````md\n- ```\n  {TAG}\n  ```\n````\n",
    "a fence that nothing closes": f"```\n{TAG}\n",
    "four spaces": f"Text:\n\n    {TAG}\n\n    {TAG}\n",
    "a tab": f"Text:\n\n\t{TAG}\n",
    "backticks": f"say `{TAG}` so\n",
    "two backticks": f"say ``{TAG}`` so\n",
    "a comment": f"<!-- {TAG[:-3]}\n",
    "backticks over two lines": f"say `code and\n{TAG} more` so\n",
    "backticks that start with the tag": f"say `{TAG}\nmore` so\n",
    "backticks in an item over two lines": f"- say ``code\n  {TAG}`` so\n",
    "a comment that is no tag": "<!--t: todo x-->\n<!-- t: todo\n-->\n",
}
LATEX = {
    "a comment that is no tag": "% t: todo\n%t: todo x\n",
    "a comment": f"% {MACRO}\n",
    "verbatim": f"\\begin{{verbatim}}\n{MACRO}\n\\end{{verbatim}}\n",
    "verb": f"\\verb|{MACRO}| and \\verb*+{MACRO}+\n",
    "verb with a comment in it": f"\\verb|% t:cite a| {MACRO[:0]}\n",
    "a listing in a line": f"\\lstinline[language=TeX]|{MACRO}| \\lstinline!{MACRO}!\n",
    "alltt": f"\\begin{{alltt}}\n{MACRO}\n\\end{{alltt}}\n",
    "iffalse": f"\\iffalse\n{MACRO}\n% t:cite a\n\\fi\n",
    "behind the document": f"\\end{{document}}\n{MACRO}\n% t:cite a\n",
    "a macro of its own": "\\newcommand{\\tnum}[1]{\\textbf{#1}}\n\\tnum{5} km\n",
    "a macro of its own without arguments": "\\newcommand{\\tnum}{5}\n\\tnum km\n",
}
DEFINED = (
    r"\newcommand{\tnum}[4][]{#3}", r"\newcommand\tnum[3]{#2}", r"\providecommand*\tnum[4][]{#3}",
    r"\def\tnum#1#2#3{#2}", r"\DeclareRobustCommand{\tnum}[4][]{#3}", r"\NewDocumentCommand{\tnum}{O{}mmm}{#3}",
    r"\let\tnum\qnum",
)  # fmt: skip


@pytest.mark.parametrize("case", [*MARKDOWN])
def test_code_of_markdown_binds_nothing(case: str) -> None:
    paper = read_paper("a.md", MARKDOWN[case])
    assert (paper.numbers, paper.cites, paper.figures) == ((), (), ())


@pytest.mark.parametrize("case", [*LATEX])
def test_code_of_latex_binds_nothing(case: str) -> None:
    paper = read_paper("a.tex", LATEX[case])
    assert (paper.numbers, paper.cites, paper.figures) == ((), (), ())


@pytest.mark.parametrize(
    "text",
    [
        f"1.  Item\n\n    {TAG}\n",
        f"- Item\n\n    {TAG}\n\n  more\n\n      {TAG}\n".replace(f"      {TAG}", "      end"),
        f"[^1]: Note\n\n    {TAG}\n",
        f"!!! note\n\n    {TAG}\n",
        f"A paragraph\n    {TAG}\n",
        f"```\ncode\n```\n{TAG}\n",
        f"- ```\n  code\n  ```\n\n{TAG}\n",
        f"Term\n:   Meaning\n\n    {TAG}\n",
        f"a `code` {TAG}\n",
        f"a ` tick\n\n{TAG} and `\n",
        f"a ` tick\n- {TAG} and `\n",
        f"# A ` tick\n{TAG} and `\n",
        f"a | ` |\n--|--\nb | {TAG} |\nc | ` |\n",
        f"| a | ` |\n|--|--|\n| b | {TAG} |\n| c | ` |\n",
        f"a <!-- ` --> tick\n{TAG} and `\n",
        f"a <!-- `\n ` --> `x` {TAG} and `\n",
        f"a `` tick\n{TAG} and `\n",
    ],
)
def test_what_only_looks_like_code_binds(text: str) -> None:
    assert len(read_paper("a.md", text).numbers) == 1


@pytest.mark.parametrize("definition", DEFINED)
def test_a_macro_may_be_defined_in_any_way(definition: str) -> None:
    (printed,) = read_paper("a.tex", f"{definition}\n{MACRO}\n\\fi \\verb|x| after\n").numbers
    assert printed.line == 2
