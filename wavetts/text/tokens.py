"""The scanner: one pass over a sentence that classifies each token and converts it to words.

A rule is a pattern, matched where a token begins (a run of letters, a run of digits, or another character), and a
function that returns the spoken form of the match, or None to leave the token to the next rule. The function can look
at the context: `match.string` is the whole written paragraph, `match.endpos` the end of the sentence. No rule reads the
output of another one.
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
from wavetts.text.number_words import number_words


class Token(NamedTuple):
    """A token of a sentence, its class and its spoken form.

    Attributes:
        start: index of its first character in the paragraph.
        end: index behind its last character.
        kind: its class: `word`, `number`, `date`, `mark` and so on.
        spoken: words, or a punctuation mark; empty if it is silent.
    """

    start: int
    end: int
    kind: str
    spoken: str


def rule(kind: str, pattern: str, say: Say | str, after: str | None = None, words: Iterable[str] = ()) -> Rule:
    """Makes a `Rule`.

    Args:
        kind: see `Rule`.
        pattern: the source of `Rule.pattern`; back references must be by name.
        say: see `Rule`.
        after: the keys of `Rule.after`, separated by spaces. `_` stands for a space, `__` for an underscore, `END` for
            the end of the sentence, and `_:abc` for a space and one of these letters of either case.
        words: see `Rule`.
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


# After spaces: a run of letters (with apostrophes inside), a run of digits, or one other character.
_RUN = re.compile(r" *(?:([^\W\d_]+(?:'[^\W\d_]+)*)|([0-9]+)|([^ ]))", re.DOTALL)
MARKS = frozenset(".,;:!?\"'()—-…¿¡")


def word_set(text: str) -> frozenset[str]:
    """The set of the words of a string."""
    return frozenset(text.split())


def _keys(following: str) -> tuple[str, ...]:
    """The keys (see `Rule.after`) of the at most three characters that follow a run."""
    first, second, third = (_kind(following[place : place + 1]) for place in range(3))
    if first == " ":
        return " " + second, f" ={following[1].lower()}" if second == "a" else ""
    if first in ("", "a", "0"):
        return (first,)
    return first, first + second, first + second + third


def _kind(char: str) -> str:
    return "a" if char.isalpha() else "0" if char.isdigit() else char


class Scanner:
    """Classifies the tokens of sentences by rules, which are tried in the order in which they are given.

    Args:
        words: rules for tokens that begin with a letter.
        capitals: further rules for tokens that begin with a run of capital letters.
        digits: rules for tokens that begin with a digit.
        signs: for each other character, the rules for tokens that begin with it.
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
            start: index of the first character of the sentence.
            end: index behind its last character.

        Returns:
            The tokens in order; together they cover every character that is not a space. A warning names each
            character of the class `unknown` that is silent.
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
        """The rules for a token that begins with this lower-case word ("" if no rule names it) and is followed by these
        (at most three) characters."""
        rules = [rule for rule in self._words if not rule.words or beginning in rule.words]
        return self._chosen(rules + (list(self._capitals) if capital else []), following)

    def _choose_digit_rules(self, following: str) -> Alternatives:
        """The rules for a run of digits that is followed by these (at most three) characters."""
        return self._chosen(self._digits, following)

    def _chosen(self, rules: Sequence[Rule], following: str) -> Alternatives:
        keys = _keys(following)
        return self._shared([rule for rule in rules if rule.after is None or not rule.after.isdisjoint(keys)])

    def _shared(self, rules: Sequence[Rule]) -> Alternatives:
        return self._alternatives.setdefault(tuple(rules), Alternatives(rules, self.language))

    def _unknown(self, text: str, place: int, sign: str) -> Token:
        """A character without a rule: punctuation is kept, letters go to espeak, symbols get their Unicode names."""
        if sign == PHONEMES:
            return Token(place, place + 1, "phonemes", sign)
        category = unicodedata.category(sign)
        if category[0] in "LM":
            return Token(place, place + 1, "word", sign)
        if category[0] == "P":
            return Token(place, place + 1, "mark", sign)
        if not self.language.startswith("en"):
            return Token(place, place + 1, "symbol", sign)  # espeak knows many symbols in its languages
        name = unicodedata.name(sign, "").lower() if category[0] in "SN" else ""
        # "braille pattern dots-12": the dots one and two
        name = re.sub(r"-?[0-9]", lambda digit: f" {number_words(int(digit[0][-1]), self.language)}", name)
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
    """The spoken form of tokens of one sentence: words separated by spaces, punctuation marks as written."""
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
