"""Finds the first of several rules that matches at the start of a token.

Few tokens of prose need more than one or two rules. In a long text of numbers and symbols, up to thirty patterns are
tried at every token and nearly all fail. Rules that are tried very often are therefore joined into one pattern, so that
one call finds the first that matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Say = Callable[[re.Match[str], str], "str | None"]
# Compiling takes about 30 ms and saves about 10 us per call.
_COMPILE_AFTER = 3000
# An escaped character, a set of characters, the beginning of a group with or without a name, or a back reference.
_GROUP = re.compile(
    r"\\(?:(?P<number>[1-9])|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<group>\((?:\?P<(?P<name>\w+)>|(?!\?)))|\(\?P=\w+",
    re.DOTALL,
)


@dataclass(frozen=True)
class Rule:
    """How one class of tokens is recognised and said.

    Attributes:
        kind: the class of its tokens.
        pattern: matched at the first character of a token.
        say: (match, espeak language code) -> the spoken form, or None to leave the token to the next rule; a string if
            every match has the same spoken form.
        after: what may follow the first run of letters or digits, None for anything: `a` a letter, `0` a digit, another
            character itself, alone or with one or two more (`.0`: a point and a digit; `,00`: a comma and two digits),
            and a letter, digit or character behind a space (` a`, or ` =x` for the letter x); the empty string is the
            end of the sentence.
        words: lower-case words that the token may begin with; empty for all.
    """

    kind: str
    pattern: re.Pattern[str]
    say: Say | str
    after: frozenset[str] | None = None
    words: frozenset[str] = frozenset()


class Alternatives:
    """A sequence of rules.

    Args:
        rules: in the order in which they are tried.
        language: an espeak language code, handed to `Rule.say`.
    """

    def __init__(self, rules: Sequence[Rule], language: str):
        self.rules, self.language = tuple(rules), language
        self._calls = 0
        self._any: re.Pattern[str] | None = None
        self._index_of_group: dict[str, int] = {}
        self._later: dict[int, Alternatives] = {}

    def match(self, text: str, place: int, end: int) -> tuple[Rule, int, str] | None:
        """Finds the first rule that matches and returns a spoken form.

        Args:
            text: a folded paragraph.
            place: index of the token's first character.
            end: index of the end of the sentence.

        Returns:
            The rule, the index behind the token's last character, and the spoken form; None if no rule applies.
        """
        if self._any is None:
            self._calls += 1
            if self._calls > _COMPILE_AFTER and len(self.rules) > 1:
                self._compile()
            for rule in self.rules:
                found = rule.pattern.match(text, place, end)
                if found is not None:
                    spoken = rule.say if isinstance(rule.say, str) else rule.say(found, self.language)
                    if spoken is not None:
                        return rule, found.end(), spoken
            return None
        first = self._any.match(text, place, end)
        if first is None:
            return None
        assert first.lastgroup is not None  # each alternative ends with a group
        index = self._index_of_group[first.lastgroup]
        rule = self.rules[index]
        if isinstance(rule.say, str):
            return rule, first.end(), rule.say
        found = rule.pattern.match(text, place, end)
        assert found is not None
        spoken = rule.say(found, self.language)
        if spoken is not None:
            return rule, found.end(), spoken
        later = self._later.get(index)
        if later is None:
            later = self._later[index] = Alternatives(self.rules[index + 1 :], self.language)
        return later.match(text, place, end)

    def _compile(self) -> None:
        """Joins the patterns; an empty group behind each of them shows which one has matched."""
        self._index_of_group = {f"rule_{index}": index for index in range(len(self.rules))}
        self._any = re.compile(
            "|".join(
                f"(?:{_renamed(rule.pattern.pattern, index)})(?P<rule_{index}>)"
                for index, rule in enumerate(self.rules)
            )
        )


def _renamed(pattern: str, index: int) -> str:
    """The source of a pattern that is to be joined with others.

    Its groups do not capture, which takes a third of the time; those that the pattern itself refers to have a number
    behind their names, as names must be unique.
    """

    def change(match: re.Match[str]) -> str:
        assert not match["number"], f"{pattern}: back references must be by name"
        if match["group"]:
            return f"(?P<{match['name']}_{index}>" if f"(?P={match['name']})" in pattern else "(?:"
        return f"{match[0]}_{index}" if match[0].startswith("(?P=") else match[0]

    return _GROUP.sub(change, pattern)
