"""The front end takes linear time, and little more for signs and numbers than for prose."""

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetts.text import alternatives
from wavetts.text.markup import _from_chunk, _from_markdown, _from_simple_markdown, _inline, _joined, _parser
from wavetts.text.normalize import explain, normalize
from wavetts.text.segment import blocks
from wavetts.text.tokens import rule

PROSE = "In his excursion into the city he was followed by a number of people, who said nothing of what they saw. "
# Each was slow once, or is what people paste by the megabyte.
PATTERNS = [
    "*a*", "*a* ", "**b** ", "_a_ ", "# a\n", "> a\n", "> a ", "- a\n", "1. a\n", "[a](b) ", "[a](b)", "`a` ",
    "a\n\n", "x 3", "x 3 ", "12 ", "5 km ", "1-1-", "-1 ", "1,1,", "1. ", "1.1.", "1st ", "1/2 ", "1:2 ",
    "$1 ", "1 000 ", "A-", "A.", "U.S.", "ABC ", "a-b-", "a. ", "(a) ", '"a" ', "a@b.de ", "a@", "http://a.b/c ",
    "a.b/c", "<b>a</b> ", "<a", "<a ", "<!--", "&amp; ", "[[a]] ", "😀a", "—", "…", "(", "]", "\n", "漢", "[ ", "![",
    "*", "> a*\n", "*_", "*{", "- *a*\n", "# *a\n", "{\n\n", "> *a\n>\n", "12,", "-/", "-1/", "0:[", "<[12", "> a",
    "\tA---0", "A 1. ", "id 1 ", "pin 1. ",
]  # fmt: skip


def _seconds(pattern: str, size: int) -> float:
    text = pattern * (size // len(pattern.encode()))
    start = process_time()
    normalize(text)
    return process_time() - start


@pytest.mark.slow
def test_no_text_takes_much_longer_than_prose():
    normalize(PROSE * 20)  # tables are loaded
    prose = min(_seconds(PROSE, 100_000) for _ in range(3))
    slow = {}
    for pattern in PATTERNS:
        # the bound is twice what the slowest pattern takes; a second measurement where the machine was busy
        ratio = (
            min(_seconds(pattern, 100_000) / prose for _ in range(2)) if _seconds(pattern, 100_000) > 20 * prose else 0
        )
        if ratio > 20:
            slow[pattern] = ratio
    assert not slow


@pytest.mark.slow
def test_the_time_is_linear_in_the_length():
    bent = {}
    for pattern in (PROSE, *PATTERNS):
        for _ in range(3):  # again where the machine was busy
            short, long = _seconds(pattern, 25_000), _seconds(pattern, 100_000)
            if long < 10 * short + 0.05:  # 4 times, if it is linear; 16 times, if it is quadratic
                break
        else:
            bent[pattern] = (short, long)
    assert not bent


@pytest.mark.slow
def test_a_text_that_was_read_before_takes_no_longer():
    first = _seconds("-1 ", 400_000)
    # an equal text, which is another object; comparing the two at every number would take ten times as long
    assert min(_seconds("-1 ", 400_000) for _ in range(2)) < 2 * first


def test_rules_in_one_pattern_take_what_they_take_one_by_one(monkeypatch):
    texts = [
        "Call 555-1234 on 3/4/2015 or 3-4-2015, pay $5-$10 or 2.5 km at 3:30 p.m. in 1990-95, 12 x 3 = 36, A4, AT&T.",
        "a - b, x < 3, y = 2^-3 and 12-Jan-2020; 10% of 1,234.50; 4111 1111 1111 1111; the 2nd of 1/2 9-11 am",
    ]
    monkeypatch.setattr(alternatives, "_COMPILE_AFTER", 10**9)
    one_by_one = [explain(text) for text in texts]
    monkeypatch.setattr(alternatives, "_COMPILE_AFTER", 0)
    for _ in range(3):
        assert [explain(text) for text in texts] == one_by_one


def test_a_rule_that_declines_leaves_the_token_to_the_next(monkeypatch):
    monkeypatch.setattr(alternatives, "_COMPILE_AFTER", 0)
    rules = [
        rule("first", r"(?P<sign>[ab])(?P=sign)", lambda match, language: None),
        rule("second", r"(?P<sign>[ab])x(?P=sign)|a", lambda match, language: match["sign"] or "none"),
        rule("third", r"b+", lambda match, language: "bees"),
    ]
    choice = alternatives.Alternatives(rules, "en-us")
    for _ in range(4):
        assert [(taken[0].kind, *taken[1:]) for text in ("aa", "axa", "bb") if (taken := choice.match(text, 0, 3))] == [
            ("second", 1, "none"),
            ("second", 3, "a"),
            ("third", 2, "bees"),
        ]
        assert choice.match("c", 0, 1) is None


@pytest.mark.parametrize(
    "text",
    [
        "# A *b* c\n(*d e*), **f**.",
        "## Two ##\nWords _here_!",
        "*one* two\n*three*",
        "# [A b](c)\nx[1](https://d.e/f_g?h=1#i)[j](_k_) [l](m)(n)",
    ],
)
def test_simple_markdown_is_read_as_the_parser_reads_it(text):
    simple = _from_simple_markdown(text)
    assert simple is not None
    assert " ".join(simple.split()) == " ".join(_from_markdown(text).split())


@pytest.mark.parametrize(
    "text",
    [
        "*a* `*b*`",
        "- *a*",
        "*a _b* c_",
        "*a* \\*",
        "[*a*](b)",
        "a * b *c*",
        "__a",
        "#5 is **not** one",
        "![a](b)",
        "[a](data:b)",
        "[[a](b)](c)",
    ],
)
def test_other_markdown_is_left_to_the_parser(text):
    assert _from_simple_markdown(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "> a\n> *b* c\n>d",
        "> # a\n> - b\n>   c\n> - d",
        "> a*\n> *b*c\n> d_e_",
        "> a *b\n>\n> - c*\n>\n>   *d*\n>\n>     e\n> # f",
        "> > a\n> b",
        "> a\nb\n> c",
        "a\n> b",
        ">\n> a\n>\n> b",
        ">\ta\n> b",
    ],
)
def test_quotations_are_read_as_the_parser_reads_them(text):
    assert list(blocks(_from_chunk(text))) == list(blocks(_from_markdown(text)))


@pytest.mark.parametrize(
    "text",
    [
        "a*b*c *d _e_ f_g_ **h*",
        "*a **b* c** ***d*** *(e)*f *'g'h* é*«i»*",
        "# a*b #\n- c *d\n  e*\n- _f_\ng\n## #h",
        "1. a\n7) *b*\n- c *d*",
        "a *b*\n2. c\n1. d",
        "# a *b*\n2. c",
        "- - *a*\n- > b",
        "- *a*\n  - b\n    - c",
        "*a*\n- | -\nb",
        "a | *b*\n- | -\nc | d",
        "*a*\n---\nb\n===\n***  \nc",
        "- *a* \\* `*b*` ~~c~~ <d@e.de> [f](g)  \nh",
        "# *a*\n```\n*b*\n```",
    ],
)
def test_lines_of_markdown_are_read_as_the_parser_reads_them(text):
    assert [(" ".join(block.text.split()), block.starts_paragraph) for block in blocks(_from_chunk(text))] == [
        (" ".join(block.text.split()), block.starts_paragraph) for block in blocks(_from_markdown(text))
    ]


SIGNS = [
    "*",
    "**",
    "***",
    "_",
    "__",
    "a",
    "é",
    "«",
    "(",
    ".",
    " ",
    "\n",
    "  \n",
    "<",
    ">",
    "&",
    "~",
    "\\*",
    "`",
    "&lt;",
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(SIGNS), max_size=20).map("".join))
def test_emphasis_is_what_the_parser_finds(text):
    parser = _parser(False)
    assert _inline(text, False, {}).split() == _joined(parser.inline.parse(text, parser, {}, [])).split()
