"""English text in capitals: a line in capitals is read as words, not as a row of acronyms."""

from __future__ import annotations

import re

from wavetts.text.english.abbreviations import BEFORE_NUMBERS, SUFFIXES, TITLES
from wavetts.text.english.acronyms import SPELLED, is_spelled
from wavetts.text.english.words import LETTERED
from wavetts.text.tokens import word_set

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# A stretch without lower-case letters.
_RUN = re.compile(r"[^a-zß-öø-ÿ]{5,}")
_SHOUT = re.compile(r"(?<![\w@/.#-])[^a-zß-öø-ÿ]{5,}(?![a-z])")
_ROMAN = re.compile(r"[IVXLC]+")
_NUMBERED = word_set(
    "CHAPTER PART BOOK VOLUME VOL ACT SCENE SECTION ARTICLE APPENDIX TITLE PHASE TYPE CLASS STAGE LEVEL FIGURE TABLE "
    "PLATE EPISODE SEASON NUMBER CANTO PSALM WAR BOWL KING QUEEN POPE EMPEROR MARK GRADE"
)
_CANONICAL = {name.upper(): name for name in (*BEFORE_NUMBERS, *SUFFIXES, *TITLES)}
_WITH_NUMBER = re.compile("-?[0-9]")
_MIXED = {"PHD": "PhD", "I": "I"}
_COMMON = word_set(
    "AN AS AT BE BY DO GO HE IF IN IS ME MY NO OF OH OK ON OR SO TO UP WE AND ANY ARE ALL BUT CAN DAY "
    "DID FOR GET GOT HAD "
    "HAS HER HIM HIS HOW ITS LET MAN MAY NEW NOT NOW OFF OLD ONE OUR OUT RUN SAY SEE SHE THE TOO TWO USE "
    "WAS WAY WHO WHY "
    "YES YET YOU AM IT US"
)
_AMBIGUOUS = frozenset(["IT", "US", "AM", "WHO", "OR", "IN", "ME", "ID", "MAY", "ICE", "ER", "OK", "HI", "OH"])


def truecase(text: str) -> str:
    """Changes text in capitals to lower case: `ASK MR. BROWN, NOT THE FBI` -> `ask Mr. Brown, not the FBI`.

    A stretch without a lower-case letter is changed if it is the whole paragraph and has at least two words, or if it
    has at least three words and one of them is not an acronym. Known acronyms, words without a vowel, Roman numerals
    after "Chapter" and the like, and single letters keep their capitals. The length of the text does not change.

    Args:
        text: a folded paragraph.
    """
    if not _RUN.search(text):
        return text
    words = len(_WORD.findall(text)) if len(text) < 2000 else 9
    whole = text.upper() == text and words > 1
    least = 2 if whole else 3
    return _SHOUT.sub(lambda match: _quieten(match[0], least), text)


def _quieten(run: str, least: int) -> str:
    words = _WORD.findall(run)
    real = [word for word in words if len(word) > 1]
    plain = [word for word in real if not is_spelled(word.removesuffix("'S")) or word in _COMMON]
    if len(words) < least or not plain or (least > 2 and len(plain) * 2 < len(words)):
        return run
    if not any(word in _COMMON or len(word) > 3 for word in plain) and least > 2:
        return run
    previous = ""

    def change(match: re.Match[str]) -> str:
        nonlocal previous
        word, before = match[0], previous
        previous = word
        stop = run[match.end() : match.end() + 1] == "."
        digit = run[max(0, match.start() - 2) : match.start()].strip()[-1:].isdigit()
        if _WITH_NUMBER.match(run, match.end()):
            return word
        if word == "A":
            letter = before.capitalize() in LETTERED or run[match.end() : match.end() + 1] in (".", ",", "")
            return word if letter else "a"
        if word in _MIXED:
            return _MIXED[word]
        if before in _NUMBERED and _ROMAN.fullmatch(word):
            return word
        if word in _CANONICAL and (stop or (word in TITLES_BARE and len(word) > 1)):
            return _CANONICAL[word]
        if len(word) == 1 or (digit and len(word) < 5 and word not in _COMMON):
            return word  # a letter, or a unit: those have capitals of their own
        core = word.removesuffix("'S")
        if core in _COMMON:
            return word.lower()
        if is_spelled(core) or (core in SPELLED and core not in _COMMON):
            return core + word[len(core) :].lower()
        if (before and before.capitalize() in TITLES) or before in ("KING", "QUEEN"):
            return word.capitalize()
        return word.lower()

    return _WORD.sub(change, run)


TITLES_BARE = frozenset(["MR", "MRS", "MS", "DR", "PROF"])
