"""The one pass over a sentence: each token is classified once, by the first rule that takes it, and said by that rule.

A rule is a pattern that begins where a token begins (a run of letters, a run of digits, or a sign) and a function that
says what the pattern found, or None if it is something else after all. The function sees the match, so it knows the
neighbours: `match.string` is the whole paragraph, `match.endpos` the end of the sentence. No rule sees what another one
has said.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from wavetts.text.alternatives import Alternatives, Rule, Say
from wavetts.text.emoji import match_emoji
from wavetts.text.inline import PHONEMES


class Token(NamedTuple):
    """A piece of a sentence, what it was taken for, and what is said for it.

    Attributes:
        start: where it begins in the paragraph.
        end: where it ends.
        kind: its class: `word`, `number`, `date`, `mark` and so on.
        spoken: words, or a mark; empty for what is not said.
    """

    start: int
    end: int
    kind: str
    spoken: str


def rule(kind: str, pattern: str, say: Say, after: str | None = None, words: Iterable[str] = ()) -> Rule:
    """A `Rule`; `after` is written as the keys in a row, `_` for a space, `__` for an underscore, `END` for the end.

    `_:abc` is a space and one of these letters, of either case.
    """
    keys = None
    if after is not None:
        names = {"END": "", "__": "_"}
        keys = set()
        for key in after.split():
            if key.startswith("_:"):
                keys.update(f" ={letter}" for letter in key[2:])
            else:
                keys.add(names[key] if key in names else key.replace("_", " ", 1))
        keys = frozenset(keys)
    return Rule(kind, re.compile(pattern), say, keys, frozenset(words))


# Behind spaces: a run of letters (with apostrophes inside), a run of digits, or a sign.
_RUN = re.compile(r" *(?:([^\W\d_]+(?:'[^\W\d_]+)*)|([0-9]+)|([^ ]))", re.DOTALL)
MARKS = frozenset(".,;:!?\"'()—-…¿¡")


def word_set(text: str) -> frozenset[str]:
    """The words of a string, for tables of words."""
    return frozenset(text.split())


def _keys(following: str) -> tuple[str, ...]:
    """The keys of the (up to three) characters that follow a run: see `Rule.after`."""
    first, second, third = (_kind(following[place : place + 1]) for place in range(3))
    if first == " ":
        return " " + second, f" ={following[1].lower()}" if second == "a" else ""
    if first in ("", "a", "0"):
        return (first,)
    return first, first + second, first + second + third


def _kind(char: str) -> str:
    return "a" if char.isalpha() else "0" if char.isdigit() else char


class Scanner:
    """Rules in the order in which they are asked, found by what a token begins with.

    Args:
        words: rules for tokens that begin with a letter.
        capitals: rules for those that begin with a run of capitals alone.
        digits: rules for those that begin with a digit.
        signs: rules for each sign.
        language: an espeak language code.
        prepare: applied to a folded paragraph before it is split and scanned; must keep its length.
    """

    def __init__(
        self,
        words: Sequence[Rule],
        capitals: Sequence[Rule],
        digits: Sequence[Rule],
        signs: Mapping[str, Sequence[Rule]],
        language: str,
        prepare: Callable[[str], str] = str,
    ):
        self.language, self.prepare = language, prepare
        self._words, self._capitals, self._digits = words, capitals, digits
        self._beginnings = frozenset().union(*(rule.words for rule in words))
        self._alternatives: dict[tuple[Rule, ...], Alternatives] = {}
        self._sign_rules = {sign: self._shared(rules) for sign, rules in signs.items()}
        # one cache for each scanner: the keys are what follows a run
        self._digit_rules = lru_cache(maxsize=4096)(self._choose_digit_rules)
        self._word_rules = lru_cache(maxsize=16384)(self._choose_word_rules)

    def scan(self, text: str, start: int, end: int) -> list[Token]:
        """The tokens of one sentence.

        Args:
            text: a folded paragraph (see `wavetts.text.fold`).
            start: where the sentence begins.
            end: where it ends.

        Returns:
            Tokens in order; together they cover all that is no space. No token of the class `unknown` stays silent
            without a warning.
        """
        tokens: list[Token] = []
        add, run, place = tokens.append, _RUN.match, start
        beginnings, make = self._beginnings, tuple.__new__  # a third of the time of Token(...)
        while place < end:
            found = run(text, place, end)
            if found is None:
                break
            kind, after = found.lastindex, found.end()
            assert kind is not None  # all of the pattern is in groups
            place = found.start(kind)
            if kind == 1:
                word = found[1]
                small = word.lower()
                key = text[after : after + 1] if after < end else ""
                if small not in beginnings and key in _PLAIN_AFTER and (small == word or not word[:2].isupper()):
                    add(make(Token, (place, after, "word", word)))
                    place = after
                    continue
                rules = self._word_rules(
                    small if small in beginnings else "", word.isupper(), text[after : min(after + 3, end)]
                )
            elif kind == 2:
                rules = self._digit_rules(text[after : min(after + 3, end)])
            else:
                rules = self._sign_rules.get(found[3])
            taken = rules.match(text, place, end) if rules is not None else None
            if taken is not None:
                taken_by, after, spoken = taken
                add(make(Token, (place, after, taken_by.kind, spoken)))
            elif kind == 1:
                add(make(Token, (place, after, "word", found[1])))
            elif kind == 2:
                add(make(Token, (place, after, "number", found[2])))
            elif found[3] in MARKS:
                add(make(Token, (place, after, "mark", found[3])))
            elif emoji := match_emoji(text, place, end, self.language):
                after, name = emoji
                add(Token(place, after, "emoji", name))
            else:
                add(self._unknown(text, place, found[3]))
            place = after
        return tokens

    def _choose_word_rules(self, beginning: str, capital: bool, following: str) -> Alternatives:
        """The rules for a word that begins with `beginning`, all in capitals or not, by the next three characters."""
        rules = [rule for rule in self._words if not rule.words or beginning in rule.words]
        return self._chosen(rules + (list(self._capitals) if capital else []), following)

    def _choose_digit_rules(self, following: str) -> Alternatives:
        """The rules for a run of digits, by the next three characters."""
        return self._chosen(self._digits, following)

    def _chosen(self, rules: Sequence[Rule], following: str) -> Alternatives:
        keys = _keys(following)
        return self._shared([rule for rule in rules if rule.after is None or not rule.after.isdisjoint(keys)])

    def _shared(self, rules: Sequence[Rule]) -> Alternatives:
        return self._alternatives.setdefault(tuple(rules), Alternatives(rules, self.language))

    def _unknown(self, text: str, place: int, sign: str) -> Token:
        """A sign that no rule takes: marks stay, letters of other scripts are espeak's, others are named or "
        "warned of."""
        if sign == PHONEMES:
            return Token(place, place + 1, "phonemes", sign)
        category = unicodedata.category(sign)
        if category[0] in "LM":
            return Token(place, place + 1, "word", sign)
        if category[0] == "P":
            return Token(place, place + 1, "mark", sign)
        if not self.language.startswith("en"):
            return Token(place, place + 1, "symbol", sign)  # espeak has names for many in its languages
        name = unicodedata.name(sign, "").lower() if category[0] in "SN" else ""
        if not name:
            _warn_of_sign(sign)
        return Token(place, place + 1, "unknown", name)


_PLAIN_AFTER = frozenset(["", " ", ",", ";", "!", "?", ")", '"', "—"])
_warned: set[str] = set()


def _warn_of_sign(sign: str) -> None:
    if sign not in _warned:
        _warned.add(sign)
        warnings.warn(f"nothing is said for {sign!r} (U+{ord(sign):04X})", stacklevel=4)


def _is_part_of_word(char: str) -> bool:
    """True for letters, digits and combining marks."""
    return char.isalnum() or (char > "\u02ff" and unicodedata.category(char)[0] == "M")


def join(text: str, tokens: Sequence[Token]) -> str:
    """What the tokens of a sentence say together: words apart, marks where they were written."""
    pieces: list[str] = []
    add, last = pieces.append, ""
    end = tokens[0].start if tokens else 0
    for start, token_end, kind, spoken in tokens:
        if start > end:
            add(" ")
            last = ""
        elif last and spoken and kind != "mark" and _is_part_of_word(last[-1]) and _is_part_of_word(spoken[0]):
            add(" ")
        end = token_end
        if spoken:
            add(spoken)
            last = spoken
    return "".join(pieces)
