"""English acronyms: which capitals are spelled, their plurals and genitives, capitals beside digits.

espeak spells most acronyms by itself, so an acronym alone is left to it. But it drops the s of `DVDs` before a comma
and of every `NASA's`, and it reads `CO` before a digit as a word. Such letters are joined by hyphens here, which makes
espeak spell them; acronyms that are read as words are written in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wavetts.text.english.number_words import cardinal, pairs, plural, say_number, say_plain, spell_digits
from wavetts.text.tokens import rule, word_set

# Read as words: left to espeak, or written in lower case before 's.
_AS_WORDS = word_set(
    "NASA NATO UNESCO UNICEF OPEC AIDS COVID LASER RADAR SCUBA SONAR NAFTA ASEAN BAFTA FIFA UEFA NASDAQ SWAT PIN PINS "
    "SIM RAM ROM JPEG GIF RAID DOS YOLO ASAP IKEA LEGO VISA SARS MERS OSHA FEMA HIPAA ACORN ANZAC BREXIT CAPTCHA COBOL "
    "BASIC FORTRAN LAN WAN POTUS SCOTUS FLOTUS CERN DARPA ERIC GAAP INTERPOL LIDAR MASH NIMBY NOAA NOW PETA QUANGO "
    "RICO SALT SAT SATS START TASER TED UKIP USAID WASP WIMP ZIP TOEFL OLED DRAM NAND CAD GUI BIOS LASIK MIDI WIFI "
    "UNIX CUDA PATH SPAM SWIFT TASS TARP WOMBAT CARE AWOL RAF NORAD EBITDA REM EURATOM STEM NASCAR MOMA DRAGON"
)
# Spelled, even in a line of capitals; some of them are also words.
SPELLED = word_set(
    "FBI CIA USA UK EU UN BBC CNN NBC ABC CBS HBO MTV NBA NFL NHL MLB CEO CFO CTO COO VP PR HR TV DVD CD "
    "PC IBM HIV DNA "
    "RNA PhD MBA MD PDF HTML XML URL URLS HTTP HTTPS FTP USB GPS GDP IQ EQ ATM ID IDS AC DC AM PM AD BC "
    "BCE CE UFO UFOS "
    "VIP SUV MIT UCLA NYU NYC LA DC USSR UAE WHO WTO IMF NGO NGOS FAQ FAQS DIY RSVP ETA CPR EMT ER ICU MRI CT DOA BYOB "
    "AI ML API APIS SQL CPU GPU CPUS GPUS RTX GTX LED LCD IP TCP VPN DNS SSN OTP PNR IT'S KFC BMW GM GE "
    "HP ATT UPS USPS "
    "NSA DEA ATF IRS FDA EPA SEC FCC FAA DOJ DOD NYPD LAPD GOP DNC RNC ACLU NAACP YMCA AAA AA NRA PTA "
    "SOS RIP TNT PVC BLT "
    "LGBT LGBTQ ADHD OCD PTSD HVAC JFK FDR LBJ MLK NSFW FYI BTW LOL OMG TBA TBD ISBN KGB MI GMO BMI OS IOS VHS "
    "CCTV PGA UFC WWE BP CV EST PST GMT UTC CET MP3 MP4 CNBC PBS NPR ESPN TSA ICE CDC NIH HMO EMS SMS "
    "MMS SSD HDD PS PPS "
    "IPO ROI KPI KPIS B2B SEO QA UI UX EUR GBP AUD CAD INR CHF CNY JPY USMC IR ESL GED UV DJ MC NY NJ CSS PHP "
    "JSON ASP AWS SAS SAP ERP CRM RFID NFC IOT LTE DSL ISP WWI WWII MIG NVIDIA"
) - {"IT'S", "NVIDIA", "JSON"}
_VOWELS = frozenset("AEIOUY")


def is_spelled(letters: str) -> bool:
    """True if an acronym is spelled: a known one, or letters without a vowel."""
    if letters in SPELLED:
        return True
    return letters not in _AS_WORDS and len(letters) > 1 and not _VOWELS.intersection(letters)


# Spelled, but espeak reads them as words.
_MISREAD = word_set(
    "ATF ATT AWS BYOB COO DEA DOA DOD EMS EMT EPA EQ ERP ESL ETA EUR FAA FAQ GED GOP HVAC ICU IMF IOT "
    "IPO IQ IR LED MIG "
    "NGO NIH NYC NYU OTP PTA QA RFID RIP ROI SEC SEO SOS TSA UAE UFC UPS USMC USPS UX VIP YMCA"
)


def say_letters(letters: Iterable[str]) -> str:
    """The letters joined by hyphens, which makes espeak spell them."""
    return "-".join(letters)


def _plural(match: re.Match[str], language: str) -> str | None:
    """`DVDs`, `NASA's`, `CEOs'`, `PhDs`: the s is heard.

    espeak reads the ending after letters joined by hyphens, and after a word in lower case.
    """
    letters, mark, _ = match.groups()
    if letters in _AS_WORDS or (len(letters) > 3 and letters not in SPELLED and not is_spelled(letters)):
        spoken = letters.capitalize() if letters != "NATO" else "Nato"
        return spoken + ("'s" if mark else "s")
    return f"{say_letters(letters)}'s"


def _mixed_plural(match: re.Match[str], language: str) -> str:
    """`PhDs`, `PhD's`."""
    return "P-H-D's"


_A_FEW = re.compile(r"[0-9]+(?:\.[0-9]+)?|[A-Za-z]+|[^\w\s]")


def _number_of_type(digits: str, language: str) -> str:
    if digits[0] == "0" and len(digits) > 1:
        return spell_digits(digits)
    if "." in digits:
        return say_number(digits, language)
    return pairs(digits, language) if len(digits) == 3 else say_plain(digits, language)


def _with_number(match: re.Match[str], language: str) -> str | None:
    """`MP3`, `A4`, `CO2`, `COVID-19`, `MIG-25`, `K8s`, `H.264`, `G.2`: letters, then the number."""
    letters, sign, digits, ending = match.groups()
    if sign == "." and len(letters) > 2:
        return None
    if sign == "-" and letters.islower() and len(letters) > 1:
        return None  # "mid-1980s", "covid-19": a word and a number
    one_by_two = sign == "." and len(letters) == 1 and "." not in digits
    words = pairs(digits, language) if one_by_two else _number_of_type(digits, language)
    if ending:
        words = plural(words)
    spelled = letters in _MISREAD or letters in ("A", "CO", "NO", "SO", "AK", "SU")
    name = say_letters(letters) if spelled else letters
    if sign == ".":
        return f"{name} point {words}"
    joint = "-" if sign == "-" or letters in ("A", "CO", "NO", "SO") else " "
    return f"{name}{joint}{words}"


def _serial(match: re.Match[str], language: str) -> str | None:
    """Letters and digits in one word (`B2A23C`, `25d08A`, `t-0t25d12-f`): apart, numbers as numbers."""
    written = match[0]
    if not re.search("[0-9]", written) or not re.search("[A-Za-z]", written):
        return None
    parts = []
    for part in _A_FEW.findall(written):
        if part[0].isdigit():
            parts.append(spell_digits(part) if part[0] == "0" or len(part) > 4 else say_number(part, language))
        elif part.isalpha():
            known = len(part) > 3 and not is_spelled(part)
            parts.append(part if known or len(part) == 1 else say_letters(part.upper()) if part.isupper() else part)
        elif part == "/":
            parts.append("slash")
    return " ".join(parts)


def _glued_numeral(match: re.Match[str], language: str) -> str | None:
    """`4x`, `16c`, `3rd-party`: a number and a letter or two."""
    number, letters = match.groups()
    name = say_letters(letters) if letters.isupper() and len(letters) > 1 else letters
    return f"{say_number(number, language)} {name}"


def _misread(match: re.Match[str], language: str) -> str | None:
    return say_letters(match[0]) if match[0] in _MISREAD else None


def _paragraph(match: re.Match[str], language: str) -> str:
    """`401(k)`, `501(c)(3)`: "four oh one k"."""
    words = f"{pairs(match[1], language)} {match[2] if match[2] != 'a' else 'A-'}"
    return words + (f" {cardinal(match[3], language)}" if match[3] else "")


# Bounded, as the search for the end of a row of parts would be repeated at each of them where what follows is no end.
_PARTS = "(?:-[0-9A-Za-z]+){0,16}"
CAPITALS = [
    rule("acronym", r"[A-Z]{2,5}(?![\w'&])", _misread),
    # Not after a digit's run: that is for the serials.
    rule("acronym", r"([A-Z]{2,})('?)s\b('(?!\w))?", _plural, None),
]
WORDS = [
    rule("acronym", r"Ph\.?D\.?'?s\b", _mixed_plural, None, ["phds", "phd's", "ph"]),
    rule("acronym", r"(?<![\w'])([A-Z]{2,}|[B-HJ-Z])('?)s\b('(?!\w))?", _plural, None),
    rule(
        "serial",
        r"(?<![\w.-])([A-Za-z]{1,12})(-|\.)?([0-9]{1,5}(?:\.[0-9]+)?)(s?)(?![\w/-]|\.[0-9])",
        _with_number,
        "0 - .0",
    ),
    rule("serial", r"[A-Za-z]+[0-9][0-9A-Za-z]*(?:[-/][0-9A-Za-z]+)*", _serial, "0"),
    rule("serial", rf"(?<![\w-])[a-zA-Z]{_PARTS}-[0-9]+[0-9A-Za-z]*{_PARTS}(?![\w-])", _serial, "-"),
    rule(
        "serial",
        r"(?<![\w-])[A-Z]{2,}(?:[-/][0-9A-Za-z]+){0,16}[-/][0-9]+[0-9A-Za-z]*(?:[-/][0-9A-Za-z]+){0,16}(?![\w-])",
        _serial,
        "- /",
    ),
]
DIGITS = [
    rule(
        "serial",
        r"([0-9]{1,4})\.([A-Z])(?:\.?([0-9]{1,3}))?(?![\w])",
        lambda m, language: (
            f"{say_number(m[1], language)} point {m[2]}" + (f" point {say_number(m[3], language)}" if m[3] else "")
        ),
        ".a",
    ),
    rule("serial", r"([0-9]{2,4})\(([a-z])\)(?:\(([0-9]{1,2})\))?(?!\w)", _paragraph, "("),
    rule("serial", r"([0-9]+)x(?![\w-])", lambda m, language: f"{say_number(m[1], language)} x", "a"),
    rule(
        "serial",
        rf"[0-9]+[A-Za-z]+[0-9][0-9A-Za-z]*(?:-[0-9A-Za-z]+)*|[0-9]+(?:-[A-Za-z]{{1,3}}[0-9]*){{1,16}}{_PARTS}(?![\w-])",
        _serial,
        "a -a",
    ),
    rule("serial", r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]{1,3})(?![\w'])", _glued_numeral, "a .0"),
]
