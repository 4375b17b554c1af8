"""Rules that are tried one after the other at the start of a token.

A sentence of prose asks few rules. A long text of numbers and signs asks thirty of them a hundred thousand times, and
nearly all of them in vain: rules that are asked that often are compiled into one pattern, which says in one call which
of them is the first to match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Say = Callable[[re.Match[str], str], "str | None"]
# Compiling takes some 30 ms, and saves some 10 us each time.
_COMPILE_AFTER = 3000
_NAME = re.compile(r"\(\?P[<=]\w+|\\(?:([1-9])|.)", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """How one class of tokens is recognised and said.

    Attributes:
        kind: the class of the token.
        pattern: matched at the token's start.
        say: gives the words for a match, or None to leave the token to the next rule. Arguments: the match, and the
            espeak language code.
        after: what may follow the first run of letters or digits, None for anything: `a` a letter, `0` a digit, another
            character itself, alone or with one or two more (`.0`: a point and a digit; `,00`: a comma and two digits),
            and a letter, digit or character behind a space (` a`, or ` =x` for the letter x); the empty string is the
            end of the sentence.
        words: lower-case words that the token may begin with; empty for any.
    """

    kind: str
    pattern: re.Pattern[str]
    say: Say
    after: frozenset[str] | None = None
    words: frozenset[str] = frozenset()


class Alternatives:
    """Rules in the order in which they are tried.

    Args:
        rules: the rules.
        language: an espeak language code, handed to `Rule.say`.
    """

    def __init__(self, rules: Sequence[Rule], language: str):
        self.rules, self.language = tuple(rules), language
        self._calls = 0
        self._any: re.Pattern[str] | None = None
        self._rule_of_group: dict[int, int] = {}
        self._later: dict[int, Alternatives] = {}

    def match(self, text: str, place: int, end: int) -> tuple[Rule, int, str] | None:
        """The first rule that takes the token at a place.

        Args:
            text: a folded paragraph.
            place: where the token begins.
            end: where the sentence ends.

        Returns:
            The rule, where the token ends, and what is said for it; None if no rule takes it.
        """
        if self._any is None:
            self._calls += 1
            if self._calls > _COMPILE_AFTER and len(self.rules) > 1:
                self._compile()
            for rule in self.rules:
                found = rule.pattern.match(text, place, end)
                if found is not None:
                    spoken = rule.say(found, self.language)
                    if spoken is not None:
                        return rule, found.end(), spoken
            return None
        first = self._any.match(text, place, end)
        if first is None:
            return None
        assert first.lastindex is not None  # each alternative ends with a group
        index = self._rule_of_group[first.lastindex]
        rule = self.rules[index]
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
        """Joins the patterns: an empty group behind each of them tells which one has matched."""
        parts, groups = [], 0
        for index, rule in enumerate(self.rules):
            parts.append(f"(?:{_renamed(rule.pattern.pattern, index)})()")
            groups += rule.pattern.groups + 1
            self._rule_of_group[groups] = index
        self._any = re.compile("|".join(parts))


def _renamed(pattern: str, index: int) -> str:
    """The source of a pattern with a number behind the names of its groups: each name may stand only once."""

    def change(match: re.Match[str]) -> str:
        assert not match[1], f"{pattern}: back references must be by name"
        return match[0] if match[0].startswith("\\") else f"{match[0]}_{index}"

    return _NAME.sub(change, pattern)
