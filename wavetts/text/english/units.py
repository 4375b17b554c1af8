"""English units of measure, read only after a number or "per"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wavetts.text.tokens import word_set

# written -> (one, many); "" for many: the same as one with an s
_UNITS = {
    "km": "kilometer",
    "m": "meter",
    "cm": "centimeter",
    "mm": "millimeter",
    "μm": "micrometer",
    "nm": "nanometer",
    "mi": "mile",
    "ft": ("foot", "feet"),
    "yd": "yard",
    "yds": "yard",
    "in.": ("inch", "inches"),
    "kg": "kilogram",
    "g": "gram",
    "mg": "milligram",
    "μg": "microgram",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "l": "liter",
    "L": "liter",
    "dl": "deciliter",
    "cl": "centiliter",
    "ml": "milliliter",
    "mL": "milliliter",
    "fl oz": "fluid ounce",
    "pt": "pint",
    "gal": "gallon",
    "qt": "quart",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
    "ha": "hectare",
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "W": "watt",
    "kW": "kilowatt",
    "MW": "megawatt",
    "GW": "gigawatt",
    "Wh": "watt hour",
    "kWh": "kilowatt hour",
    "mW": "milliwatt",
    "MWh": "megawatt hour",
    "GWh": "gigawatt hour",
    "V": "volt",
    "kV": "kilovolt",
    "mV": "millivolt",
    "mA": "milliamp",
    "mAh": "milliamp hour",
    "Nm": "newton meter",
    "kN": "kilonewton",
    "kJ": "kilojoule",
    "cal": "calorie",
    "kcal": "kilocalorie",
    "Pa": "pascal",
    "MPa": "megapascal",
    "kPa": "kilopascal",
    "hPa": "hectopascal",
    "mmHg": ("millimeter of mercury", "millimeters of mercury"),
    "hp": ("horsepower", "horsepower"),
    "Ω": "ohm",
    "kΩ": "kiloohm",
    "px": "pixel",
    "ppm": ("part per million", "parts per million"),
    "bpm": ("beat per minute", "beats per minute"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "dB": "decibel",
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "° C": ("degree Celsius", "degrees Celsius"),
    "° F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": "degree",
    "mpg": ("mile per gallon", "miles per gallon"),
    "cc": "cubic centimeter",
    "dpi": ("dot per inch", "dots per inch"),
    "mph": ("mile per hour", "miles per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "kmh": ("kilometer per hour", "kilometers per hour"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "fps": ("frame per second", "frames per second"),
    "ns": "nanosecond",
    "μs": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "wk": "week",
    "wks": "week",
    "yr": "year",
    "yrs": "year",
    "mo": "month",
    "mos": "month",
    "kt": "knot",
    "kts": "knot",
    "KB": "kilobyte",
    "kB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "PB": "petabyte",
    "Kb": "kilobit",
    "Mb": "megabit",
    "Gb": "gigabit",
    "kbit": "kilobit",
    "Mbit": "megabit",
    "Gbit": "gigabit",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
    "mbps": ("megabit per second", "megabits per second"),
    "MBps": ("megabyte per second", "megabytes per second"),
    "kbps": ("kilobit per second", "kilobits per second"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
}
_PER = {
    "s": "second",
    "sec": "second",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "year",
    "m": "meter",
    "km": "kilometer",
    "l": "liter",
    "L": "liter",
    "ml": "milliliter",
    "kg": "kilogram",
    "gal": "gallon",
    "cm": "centimeter",
    "mm": "millimeter",
    "mi": "mile",
    "ft": "foot",
    "in": "inch",
    "wk": "week",
    "mo": "month",
    "yr": "year",
    "d": "day",
    "dl": "deciliter",
    "dL": "deciliter",
    "mL": "milliliter",
    "g": "gram",
    "mol": "mole",
    "hour": "hour",
    "minute": "minute",
    "second": "second",
    "px": "pixel",
}
_POWERS = {"2": "square", "3": "cubic", "sq": "square", "cu": "cubic"}
# Abbreviations that people write with a stop; it goes where the sentence clearly continues.
_STOP = (
    r"(?:(?<=ft)|(?<=lb)|(?<=lbs)|(?<=oz)|(?<=mi)|(?<=yd)|(?<=yds)|(?<=gal)|(?<=sec)|(?<=min)|(?<=hr)|(?<=hrs)|(?<=tbsp)|(?<=tsp)|"
    r"(?<=qt)|(?<=wk)|(?<=wks)|(?<=yr)|(?<=yrs))"
)


def _alternatives(names: dict) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def _first_of(names: Iterable[str]) -> str:
    """A look ahead for the first character of a name: it is cheaper than a hundred names."""
    return f"(?=[{re.escape(''.join(sorted({name[0] for name in names})))}])"


# Groups: power before, unit, power after, per unit, power of that.
UNIT_PATTERN = (
    rf"{_first_of([*_UNITS, 'sq', 'cu'])}"
    rf"(?:(sq|cu)\.? )?({_alternatives(_UNITS)})(?:\^?([23]))?(?:/({_alternatives(_PER)})(?:\^?([23]))?)?"
    rf"(?![\w^/]|'[a-z])(?:{_STOP}\.(?= ?[a-z0-9,;)]))?"
)


# In capitals, as labels and shouted lines have them, where no other unit is written so: 12KG, 10 KM, 6 FT.
_CAPITALS = {
    name.upper(): name
    for name in word_set(
        "km cm mm kg mg lb lbs oz ml ft yd yds mi mph kph mpg rpm bpm fps psi hp hr hrs min mins sec secs kwh dpi tbsp "
        "tsp gal yrs yr px hz"
    )
}
_CAPITALS |= {"KWH": "kWh", "KHZ": "kHz", "MHZ": "MHz", "GHZ": "GHz", "HZ": "Hz", "KW": "kW", "DB": "dB"}
_CAPITALS |= {"Km": "km", "Kg": "kg", "Cm": "cm", "Ml": "ml", "KMH": "kmh", "gb": "GB", "mb": "MB", "tb": "TB"}
CAPITAL_UNIT_PATTERN = (
    rf"{_first_of([*_CAPITALS, 'SQ', 'CU'])}"
    rf"(?:(SQ|CU)\.? )?({_alternatives(_CAPITALS)})(?:\^?([23]))?(?:/(H|S|MIN|HR|L|h|s)(?:\^?([23]))?)?"
    r"(?![\w^/]|'[a-z])(?:(?<=FT|LB|OZ|MI|YD|HR)\.(?= ?[A-Z0-9,;)]))?"
)


def say_unit(groups: tuple[str | None, ...], singular: bool) -> str:
    """Words for the five groups that `UNIT_PATTERN` matched.

    Args:
        groups: power before (`sq`), unit, power after (`2`), unit after the slash, power of that.
        singular: after "one", and in front of a noun ("a five-kilometer run").
    """
    power_before, unit, power_after, per, per_power = groups
    assert unit is not None
    entry = _UNITS[_CAPITALS.get(unit, unit)]
    power_before, per = (part and (part if part in _PER else part.lower()) for part in (power_before, per))
    one, many = entry if isinstance(entry, tuple) else (entry, entry + "s")
    words = one if singular else many
    power = power_before or power_after
    if power:
        words = f"{_POWERS[power]} {words}"
    if per:
        words += f" per {_PER[per]}"
    if per_power:
        # an acceleration: meters per second squared, but kilograms per cubic meter
        words = f"{words} squared" if per in ("s", "sec") else words.replace("per ", f"per {_POWERS[per_power]} ")
    return words
