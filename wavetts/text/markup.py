"""Removes markup: HTML with the standard library's parser, Markdown with markdown-it-py."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wavetts.text.tokens import word_set

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_TAGS = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|dd|del|details|dfn|div|dl|dt|"
    "em|figcaption|figure|font|footer|form|h1|h2|h3|h4|h5|h6|head|header|hr|html|i|iframe|img|input|ins|kbd|label|li|"
    "link|main|mark|meta|nav|object|ol|option|p|path|picture|pre|q|s|samp|script|section|select|small|source|span|"
    "strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|video|wbr"
)
_HTML = re.compile(
    rf"<(?:!--|!doctype|/?(?:{_TAGS})(?:\s[^<>]{{0,2000}})?/?>)"
    # other elements, where a closing one shows that it is markup: <pause/>, <speed value="2">...</speed>
    r"|</[A-Za-z][\w:.-]*>|<[A-Za-z][\w:.-]*(?:\s[^<>]{0,500})?/>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_OPEN_COMMENT = re.compile("<!--[^>]*")
# The parser raises an error at the beginning of any other marked section (`<![`), as it may stand in a text.
_OTHER_SECTION = re.compile(
    r"<(?=!\[(?!(?:temp|cdata|ignore|include|rcdata|if|else|endif)(?![-_.a-z0-9])))", re.IGNORECASE
)
_SILENT = frozenset(["script", "style", "head", "template", "svg", "iframe", "object"])
_BLOCKS = word_set(
    "address article aside blockquote body caption center dd details div dl dt figcaption figure footer "
    "form h1 h2 h3 h4 "
    "h5 h6 header hr li main nav ol option p pre section summary table tbody tfoot thead tr ul title"
)
_CELLS = frozenset(["td", "th"])


class _Text(HTMLParser):
    """Collects the visible text: blocks become paragraphs, scripts and styles are dropped, images become alt text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent: list[str] = []
        self._cells = 0
        self._raised = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Starts a paragraph at a block element; adds the alt text of an image."""
        if tag in _SILENT:
            self._silent.append(tag)
        elif not self._silent:
            self._raised = tag == "sup"
            if tag == "tr":
                self._cells = 0
            elif tag in _CELLS:
                self.parts.append(", " if self._cells else "")
                self._cells += 1
            if tag == "img":
                self.parts.append(f" {dict(attrs).get('alt') or ''} ")
            self._space(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Handles `<br/>`; a self-closing `<script/>` has no content to drop."""
        if tag not in _SILENT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Ends a paragraph at a block element."""
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        elif not self._silent:
            self._raised = False
            self._space(tag)

    def handle_data(self, data: str) -> None:
        """Collects the text between tags."""
        if not self._silent:
            # a raised number is a power, a raised "th" is not
            self.parts.append("^" + data if self._raised and data.strip().lstrip("-").isdigit() else data)

    def _space(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag == "br":
            self.parts.append("\n")


def _from_html(text: str) -> str:
    # An unclosed comment is text. The parser would search the rest of the text for the end of each of them.
    text = _OTHER_SECTION.sub("&lt;", text)
    closed = text.rfind("-->") + 1
    parser = _Text()
    parser.feed(text[:closed] + _OPEN_COMMENT.sub(lambda match: match[0].replace("<", "&lt;"), text[closed:]))
    parser.close()
    return "".join(parser.parts)


# --- Markdown ------------------------------------------------------------------------------------------------------

# Markdown that does not occur in plain text. A list alone is no sign of Markdown: `segment` splits it.
_MARKDOWN = re.compile(
    r"^ {0,3}(?:#{1,6}[ \t]+\S|>[ \t]?\S|```|~~~|\|?[ \t]*:?-{3,}:?[ \t]*\||={3,}[ \t]*$)"
    r"|^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$"
    r"|!?\[[^\[\]\n]{1,300}\](?:\([^()\s]{1,500}(?:[ \t]+\"[^\"\n]{0,200}\")?\)|\[[^\[\]\n]{0,100}\])"
    r"|^ {0,3}\[[^\[\]\n]{1,100}\]:[ \t]+\S+"
    r"|(?<![\w`])`[^`\n]{1,300}`(?![\w`])"
    r"|(?<![\w*])\*\*?[^\s*][^*\n]{0,300}(?<=\S)\*\*?(?![\w*])"
    r"|(?<![\w_])__?[^\s_][^_\n]{0,300}(?<=\S)__?(?![\w_])"
    r"|(?<![\w~])~~[^\s~][^~\n]{0,300}~~(?![\w~])"
    r"|(?<![\w=])==[^\s=][^=\n]{0,300}(?<=\S)==(?![\w=])|(?<![\w+])\+\+[^\s+][^+\n]{0,300}(?<=\S)\+\+(?![\w+])",
    re.MULTILINE,
)
_HIGHLIGHT = re.compile(r"(?<![\w=+])(==|\+\+)(?=[^\s=+])([^=+\n]{1,300})(?<=\S)\1(?![\w=+])")
_REFERENCE = re.compile(r"\[([^\[\]\n]{1,300})\]\[[^\[\]\n]{0,100}\]")  # a reference link without a definition
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
# The commonest Markdown, for which the parser is not needed (it takes 10 us a word): headings, words between one or two
# asterisks or underscores, and links, in lines that hold nothing else that Markdown knows.
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?=[^\s#])([^\n]*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_PHRASE = "([A-Za-z0-9](?:[A-Za-z0-9 .,;:'-]*[A-Za-z0-9])?)"
_EMPHASIS = re.compile(rf"(?<![^\s(])(\*\*?|__?){_PHRASE}\1(?![^\s.,;:!?)])")
_LINK = re.compile(rf"(?<!!)\[{_PHRASE}\]\((?:https?://)?[A-Za-z0-9.,/#?=&%+_-]+\)")
_INERT = re.compile(r"(?:^ {0,3}(?:[^\W\d_]|[\"'(])[\w .,;:!?\"'()%$/-]*$\n?|^\n)*", re.MULTILINE | re.ASCII)
_QUOTED = re.compile(r"(?: {0,3}>[^\t\n]*(?:\n|$))+")  # nothing but lines of a quotation
_QUOTE_SIGN = re.compile(r"^ {0,3}> ?", re.MULTILINE)
_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
# The beginning of anything but a paragraph, or of a line that makes something else of the paragraph before it.
_BLOCK = re.compile(
    r"^[ \t]*(?:[-+=|:>#~]|\*(?:[ \t]|[ \t*]*$)|_[ \t_]*$|[0-9]{1,9}[.)](?:[ \t]|$)|```)|\]:|[\r\0]", re.MULTILINE
)
_LINE = re.compile(
    r"^(?:(?:([-+*])|([0-9]{1,9}[.)])) {1,4}(?=\S)|#{1,6}[ \t]+(?=[^\s#])([^\n]*?)(?:[ \t]+#+)?[ \t]*$)", re.MULTILINE
)
# What the parser is needed for within a paragraph, besides links.
_SPANS = re.compile(rf"[`\\]|~~|<[A-Za-z0-9][^<>]*>|{_ENTITY.pattern}")
_STARS = re.compile(r"\*+|_+")
_LINE_BREAK = re.compile(r" *\n[ \t]*")
_FRONT_MATTER = re.compile(r"\A---\n(?:[^\n]*\n){0,60}?---\n")


@lru_cache(maxsize=2)
def _parser(links: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    class Parser(MarkdownIt):
        def normalizeLink(self, url: str) -> str:
            return url  # it is not read; to encode it takes a fifth of the time of a link

    # Indented code blocks are off: an indented paragraph is more likely.
    parser = Parser("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(["code", "html_block"])
    parser.core.ruler.disable(["inline", "text_join"])  # see `_inline`
    return parser if links else parser.disable(["link", "image"])


def _from_markdown(text: str) -> str:
    # Without "](" or "]:" there are no links, but the parser would search the rest of the text at every "[".
    links = "](" in text or "]:" in text
    out: list[str] = []
    references: dict[str, Any] = {}
    for token in _parser(links).parse(text, references):
        if token.type == "inline":
            out.append(_inline(token.content, links, references))
        elif token.type in ("fence", "code_block"):
            out.append(token.content + "\n\n")
        elif token.type == "list_item_open":
            mark = f"{token.info}{token.markup}" if token.info else "-"
            out.append(f"\n\n{mark} ")
        elif token.type in ("th_close", "td_close"):
            out.append(", ")
        elif token.type == "tr_close":
            out[-1] = ""
            out.append("\n\n")
        elif token.type.endswith("_close") and token.block and not token.type.startswith(("list", "table", "t")):
            out.append("\n\n")
    return "".join(out)


def _from_simple_markdown(text: str) -> str | None:
    """The plain text of headings, emphasis and links alone; None if there may be anything else."""
    if not text.isascii():
        return None
    text = _LINK.sub(r"\1", _EMPHASIS.sub(r"\2", _HEADING.sub(r"\n\n\1\n\n", text)))
    return text if "_" not in text and _INERT.fullmatch(text) else None


def _from_lines(text: str) -> str | None:
    """The plain text of headings, list items without lists in them, and paragraphs; None if there is anything else.

    The parser needs 20 us for each of them.
    """
    links = "](" in text
    out: list[str] = []
    start, in_list = 0, False
    for line in (*_LINE.finditer(text), None):
        body = text[start : line.start() if line else len(text)].strip()
        if _BLOCK.search(body):
            return None
        if body:
            out.append(_inline(body, links, {}) + "\n\n")
        if line is None:
            break
        bullet, number, heading = line.groups()
        if number and number[:-1] != "1" and body and not in_list:
            return None  # it continues the paragraph
        in_list = heading is None
        out.append(f"\n\n{'-' if bullet else number} " if in_list else f"\n\n{_inline(heading, links, {})}\n\n")
        start = line.end()
    return "".join(out)


def _inline(text: str, links: bool, references: dict[str, Any]) -> str:
    """The plain text of a paragraph, a heading or a cell."""
    if _SPANS.search(text) or (links and "[" in text):
        parser = _parser(links)
        text = _joined(parser.inline.parse(text, parser, references, []))
    else:  # the parser needs 5 us for each sign of emphasis
        text = _LINE_BREAK.sub("\n", _without_emphasis(text))
    return _REFERENCE.sub(r"\1", _HIGHLIGHT.sub(r"\2", text))


def _without_emphasis(text: str) -> str:
    """Removes the asterisks and underscores that the parser would pair, by its own functions."""
    from markdown_it.rules_inline.balance_pairs import processDelimiters
    from markdown_it.rules_inline.state_inline import Delimiter, StateInline

    signs: list[Delimiter] = []
    for run in _STARS.finditer(text):
        start, end = run.span()
        opens, closes = _flanks(text[start - 1 : start] or " ", text[start], text[end : end + 1] or " ")
        signs += [Delimiter(ord(text[start]), end - start, place, -1, opens, closes) for place in range(start, end)]
    if not signs:
        return text
    processDelimiters(StateInline("", _parser(False), {}, []), signs)
    pairs = [(sign.token, signs[sign.end].token) for sign in signs if sign.end >= 0]
    edges = [-1, *sorted(place for pair in pairs for place in pair), len(text)]
    return "".join(text[before + 1 : after] for before, after in pairwise(edges))


@lru_cache(maxsize=4096)
def _flanks(before: str, sign: str, after: str) -> tuple[bool, bool]:
    """Whether a run of signs between these characters can open, and whether it can close an emphasis."""
    from markdown_it.rules_inline.state_inline import StateInline

    found = StateInline(before + sign + after, _parser(False), {}, []).scanDelims(1, sign == "*")
    return found.can_open, found.can_close


def _joined(tokens: list[Token]) -> str:
    out = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            out.append(token.content)
        elif token.type == "image":
            out.append(_joined(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            out.append("\n")
    return "".join(out)


def _chunks(text: str) -> list[str]:
    """The text between blank lines, fenced code blocks kept whole; each chunk is checked for Markdown on its own."""
    chunks: list[str] = []
    fenced = False
    for part in _BLANK.split(text):
        if fenced:
            chunks[-1] += "\n\n" + part
        else:
            chunks.append(part)
        if len(_FENCE.findall(part)) % 2:
            fenced = not fenced
    return chunks


def _from_chunk(chunk: str) -> str:
    if _QUOTED.fullmatch(chunk):  # a mail's; the parser needs 10 us for each line of a quotation
        chunk = _QUOTE_SIGN.sub("", chunk)
    simple = _from_simple_markdown(chunk)
    if simple is not None:
        return simple
    parts = []
    for part in _BLANK.split(chunk):  # a quotation has blank lines
        lines = _from_lines(part)
        if lines is None:
            return _from_markdown(chunk)
        parts.append(lines)
    return "\n\n".join(parts)


def plain_text(text: str) -> str:
    """Removes HTML and Markdown from a text; blank lines between paragraphs and line breaks are kept.

    Args:
        text: any text.

    Returns:
        The plain text; the same string if it holds no HTML and no Markdown.
    """
    if "<" in text and _HTML.search(text):
        text = _from_html(text)
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if not _MARKDOWN.search(text):
        return text
    text = _FRONT_MATTER.sub("", text)
    return "\n\n".join(_from_chunk(chunk) if _MARKDOWN.search(chunk) else chunk for chunk in _chunks(text))
