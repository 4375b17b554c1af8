"""Words that are missing or wrong in CLDR and in the packages that read it."""

from __future__ import annotations

# CLDR's names of espeak's language codes, where they differ.
CLDR_NAMES = {
    "nb": "nb",
    "pt": "pt_PT",
    "pt-br": "pt",
    "cmn": "zh",
    "es-419": "es_419",
    "fr-be": "fr_BE",
    "fr-ch": "fr_CH",
}
RBNF_NAMES = {"nb": "no", "pt": "pt_PT", "pt-br": "pt", "fr-be": "fr_BE", "fr-ch": "fr_CH"}
# Languages whose number words espeak does not read, or reads worse than digits.
DIGITS_ARE_BETTER = frozenset(["ja", "cmn", "yue", "fa-latn", "cmn-latn-pinyin", "hak", "chr", "chr-US-Qaaa-x-west"])
# The stop within 1.2.3 and 192.168.1.1, which CLDR does not name; elsewhere such numbers stay in digits.
POINTS = {
    "ca": "punt", "cs": "tečka", "da": "punktum", "de": "Punkt", "el": "τελεία", "es": "punto", "et": "punkt",
    "fi": "piste", "fr": "point", "hr": "točka", "hu": "pont", "id": "titik", "it": "punto", "lt": "taškas",
    "lv": "punkts", "nb": "punktum", "nl": "punt", "pl": "kropka", "pt": "ponto", "ro": "punct", "ru": "точка",
    "sk": "bodka", "sl": "pika", "sr": "tačka", "sv": "punkt", "tr": "nokta", "uk": "крапка", "vi": "chấm",
}  # fmt: skip
# The word of the decimal sign, and of a negative number, where unicode-rbnf and num2words have none or a wrong one.
DECIMALS = {
    "bg": "цяло и", "ga": "pointe", "kk": "бүтін", "ky": "бүтүн", "mt": "punt", "my": "ဒသမ", "qu": "coma",
    "ru": "запятая", "th": "จุด",
}  # fmt: skip
MINUS = {"bn": "মাইনাস", "kn": "ಮೈನಸ್", "ko": "마이너스", "te": "మైనస్"}
# num2words has Brazilian amounts only in a form without a choice of the currency.
SMALL = {
    "BRL": {"pt": ("real", "reais", "centavo", "centavos")},
    "EUR": {"pt": ("euro", "euros", "cêntimo", "cêntimos")},
}
SMALL |= {"USD": {"pt": ("dólar", "dólares", "centavo", "centavos")}}
IN_HUNDREDS = frozenset(["af", "da", "de", "fo", "is", "lb", "nb", "nl", "sv"])
FIRST = frozenset(["ca", "fr", "it", "pt"])  # the first of a month is an ordinal there, the others are not
DATE_WORDS = {
    "be": {"г.": "года"}, "bg": {"г.": "година"}, "hy": {"թ.": "թվականի"}, "kk": {"ж.": "жылғы"}, "ky": {"ж.": "жыл"},
    "lt": {"m.": "metų", "d.": "dienos"}, "mk": {"г.": "година"}, "ru": {"г.": "года"}, "th": {"ค.ศ.": "คริสต์ศักราช"},
    "uk": {"р.": "року"},
}  # fmt: skip
