from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavetts.errors import UserError
from wavetts.text.normalize import normalize

# Each line was read by a person: is this how an American reads the left side aloud?
GOLDEN = """
# cardinals
I have 1,234 apples. -> I have one thousand two hundred thirty-four apples.
Pi is 3.14159. -> Pi is three point one four one five nine.
It fell to -5. -> It fell to minus five.
about .5 or 0.5 -> about point five or zero point five
12 345 men? No: 1 000 000 men -> twelve three hundred forty-five men? No: one million men
agent 007 -> agent zero zero seven
1,000,000,000 -> one billion
10,000,000.55 -> ten million point five five
1,2,3 -> one, two, three
# ordinals
the 1st, 22nd and 103rd -> the first, twenty-second and one hundred third
a 21st-century man -> a twenty-first-century man
the 1,000th time -> the one thousandth time
# years
in 1999 -> in nineteen ninety-nine
in 2005 and 2015 -> in two thousand five and twenty fifteen
in 1905, 1900 and 1066 -> in nineteen oh five, nineteen hundred and ten sixty-six
the 1800s, the '90s and the 1990's -> the eighteen hundreds, the nineties and the nineteen nineties
in his 20s -> in his twenties
mid-1800s; early 2000s -> mid-eighteen hundreds; early two thousands
the summer of '69 -> the summer of sixty-nine
c. 1850 -> circa eighteen fifty
# money
It cost $19.99. -> It cost nineteen dollars and ninety-nine cents.
£5 and €3.50 -> five pounds and three euros and fifty cents
$1.5 million -> one point five million dollars
$1, £1, $1.00, $1.01 -> one dollar, one pound, one dollar, one dollar and one cent
$0.99, $.50, £0.01 -> ninety-nine cents, fifty cents, one penny
$1,234.56 -> one thousand two hundred thirty-four dollars and fifty-six cents
$5-10, $5 to $10, $3.50-$4 -> five to ten dollars, five to ten dollars, three dollars and fifty cents to four dollars
$5 and 10 men -> five dollars and ten men
a $20 bill -> a twenty dollar bill
€1.2bn, £3m, $2k -> one point two billion euros, three million pounds, two thousand dollars
US$5, 5€, 50¢, -$5 -> five US dollars, five euros, fifty cents, minus five dollars
a $3-million deal, $5 million-a-year -> a three million dollar deal, five million dollar-a-year
20 USD, EUR 30.50, CHF 5 -> twenty US dollars, thirty euros and fifty cents, five Swiss francs
10$, €1.234,50 -> ten dollars, one thousand two hundred thirty-four euros and fifty cents
₹5,00,000, Rs. 50 -> five hundred thousand rupees, fifty rupees
$5/hour, £3 per lb. -> five dollars per hour, three pounds per pound.
# percent and units
5%, 0.5 % and 5-10% -> five percent, zero point five percent and five to ten percent
5 km, 10kg, 60 mph -> five kilometers, ten kilograms, sixty miles per hour
1 km and 1 lb -> one kilometer and one pound
20°C, -40°F, 90° -> twenty degrees Celsius, minus forty degrees Fahrenheit, ninety degrees
a 5-km run -> a five-kilometer run
5-10 km -> five to ten kilometers
9.8 m/s² -> nine point eight meters per second squared
100 km/h, 50 m², 3 kg/m³ -> one hundred kilometers per hour, fifty square meters, three kilograms per cubic meter
6 ft. tall, 5 oz. of it. -> six feet tall, five ounces of it.
He ran 5 km. Then he slept. -> He ran five kilometers. Then he slept.
12 ft x 10 ft -> twelve feet by ten feet
5'10" tall -> five feet ten inches tall
80 GB at 3.2 GHz -> eighty gigabytes at three point two gigahertz
born in 5 in the morning -> born in five in the morning
a 3.5mm jack, 2 tbsp, 90 bpm -> a three point five millimeter jack, two tablespoons, ninety beats per minute
6ft 2in, 6' tall, a 12" screen -> six feet two inches, six feet tall, a twelve inch screen
1h 30m -> one hour thirty minutes
# times
3:30 pm -> three thirty PM
12:00 -> twelve o'clock
7 o'clock -> seven o'clock
At 3:00 p.m. The end. -> At three PM. The end.
9:05 a.m., 5pm -> nine oh five AM, five PM
14:30 and 14:00 -> fourteen thirty and fourteen hundred
9:00-10:30 am -> nine o'clock to ten thirty AM
9-11 am -> nine to eleven AM
8:15:30 -> eight fifteen and thirty seconds
twelve:thirty p.m., the -> twelve thirty PM, the
8.30pm, 8.30 miles -> eight thirty PM, eight point three zero miles
# dates
Tues. 5/6, Mon-Fri -> Tuesday May sixth, Monday to Friday
Sat. and Sun., under the Sun. -> Saturday and Sunday, under the Sun.
2024-02-29T12:30:00Z -> February twenty-ninth, twenty twenty-four twelve thirty UTC
3/14/2015 -> March fourteenth, twenty fifteen
25/12/2015 -> December twenty-fifth, twenty fifteen
2015-03-14 -> March fourteenth, twenty fifteen
March 3, 1999 -> March third, nineteen ninety-nine
3 March 1999 -> the third of March nineteen ninety-nine
the 3rd of May -> the third of May
Sept. 11, 2001 and Jan. 5 -> September eleventh, two thousand one and January fifth
5-7 May 2010 -> the fifth to seventh of May twenty ten
in Feb. 2020 -> in February twenty twenty
# fractions
1/2, 3/4, 1/3, 5/8 -> one half, three quarters, one third, five eighths
2 1/2 miles, 3½ cups, 1¾ -> two and a half miles, three and a half cups, one and three quarters
9/11 and 24/7 -> nine eleven and twenty-four seven
# ranges and ratios
1939-1945, 1939–45 -> nineteen thirty-nine to nineteen forty-five, nineteen thirty-nine to forty-five
pp. 5-10 -> pages five to ten
500-1000 people -> five hundred to one thousand people
a score of 3:5 or 16:9 -> a score of three to five or sixteen to nine
# chapter and verse
John 3:16, Genesis 1:1 -> John three sixteen, Genesis one one
1 Cor. 13:4-7; Rev. 3:20 -> First Corinthians thirteen four to seven; Revelation three twenty
Romans 8:28 and 12:2. -> Romans eight twenty-eight and twelve two.
Psalm 119:105 -> Psalm one hundred nineteen one hundred five
Exodus 20:1-17 -> Exodus twenty verse one to seventeen
John 3:05, met John 3:30 pm -> John three oh five, met John three thirty PM
# Roman numerals
Henry VIII -> Henry the eighth
Louis XIV's court -> Louis the fourteenth's court
Queen Elizabeth I was -> Queen Elizabeth the first was
Charles I think -> Charles I think
Chapter IV, World War II -> Chapter four, World War two
Malcolm X, Henry V. Smith -> Malcolm X, Henry V Smith
XIX century -> nineteenth century
exhibit C, I and VI -> exhibit C, I and VI
Rocky IV, Superman III, Henry Ford II -> Rocky four, Superman three, Henry Ford the second
Act I, scene ii; vol. iii; an IV drip -> Act one, scene two; volume three; an I-V drip
WWI and WWII -> World War one and World War two
# groups of digits
They called 911; a Porsche 911 -> They called nine one one; a Porsche nine hundred eleven
555-123-4567 ext. 8 -> five five five, one two three, four five six seven extension eight
0800 123 456, 1-800-FLOWERS -> zero eight zero zero, one two three, four five six, one eight hundred FLOWERS
1e-5, 6.02e23 -> one times ten to the minus five, six point zero two times ten to the twenty-three
1.000.000, 192.168.100.0 -> one million, one nine two dot one six eight dot one zero zero dot zero
20-20 vision -> twenty twenty vision
Call 555-1234. -> Call five five five, one two three four.
(555) 123-4567 -> five five five, one two three, four five six seven
1-800-555-1234 -> one, eight zero zero, five five five, one two three four
+44 20 7946 0958 -> plus four four, two zero, seven nine four six, zero nine five eight
version 1.10, v2.0, 1.2.3 -> version one point ten, version two point zero, one point two point three
192.168.0.1 -> one nine two dot one six eight dot zero dot one
A4, CO2, MP3, COVID-19, F-16 -> A-four, C-O-two, MP three, COVID-nineteen, F-sixteen
# abbreviations
Mr. and Mrs. Smith met Dr. Jones. -> Mister and Missus Smith met Doctor Jones.
on Elm St. near St. Paul's -> on Elm Street near Saint Paul's
He lives at 221 Baker St. London. -> He lives at two twenty-one Baker Street London.
St. Louis, Mt. Everest, Ft. Worth -> Saint Louis, Mount Everest, Fort Worth
7th Ave. and Oak Dr. are -> seventh Avenue and Oak Drive are
Smith & Co. He left. -> Smith and Company. He left.
Acme Ltd., John Jr., No. 5 -> Acme Limited, John Junior, Number five
No. That is wrong. -> No. That is wrong.
Gen. Lee, Capt. Kirk, Rev. Brown -> General Lee, Captain Kirk, Reverend Brown
Hon. Judge Lt. Col. Smith -> Honorable Judge Lieutenant Colonel Smith
cats, dogs, etc. vs. those -> cats, dogs, et cetera versus those
e.g. this, i.e. that -> E-G this, I-E that
The FBI and NASA -> The FBI and NASA
in the U.S. He went -> in the U-S. He went
U.S.A. and U.S. law -> U-S-A and U-S law
J. R. R. Tolkien and John F. Kennedy -> J-R-R Tolkien and John F Kennedy
A. Smith has a Ph.D. from M.I.T. -> A. Smith has a PhD from M-I-T.
Vol. II, Fig. 3 -> Volume two, Figure three
Mr. & Mrs. Smith -> Mister and Missus Smith
Symphony no. 5; she said no. -> Symphony number five; she said no.
# the letter A: with a hyphen espeak does not take it for the article
Vitamin A is; 33 A was; point A to B -> Vitamin A- is; thirty-three A- was; point A- to B
An A in maths, the A team, Vitamin A Deficiency -> An A- in maths, the A- team, Vitamin A- Deficiency
A is for apple, "A and B", A B C -> A- is for apple, "A- and B", A- B C
Plan A works; a vitamin-A deficiency -> Plan A- works; a vitamin A- deficiency
A man. A to-do list, Plan A Trip, A B movie -> A man. A to-do list, Plan A Trip, A B movie
the novel A Room with a View, Plan A. -> the novel A Room with a View, Plan A.
# symbols
he/she, his/her -> he or she, his or her
AT&T, R&D, you & me -> A-T and T, R and D, you and me
#1, #hello, C++, C# -> number one, hashtag hello, C plus plus, C sharp
5+5=10; 10 - 3 = 7 -> five plus five equals ten; ten minus three equals seven
5 × 3; 6 ÷ 2; 2x4 -> five times three; six divided by two; two by four
10^6, x² -> ten to the power of six, x squared
and/or, AC/DC -> and or, AC slash DC
~100, ≤ 7 -> about one hundred, less than or equal to seven
*bold* and _under_ -> bold and under
&amp; © 2020 Foo™ -> and copyright twenty twenty Foo
# addresses
me@example.com -> me at example dot com
https://www.example.com/a-b. -> w w w dot example dot com slash A- dash b.
Visit example.org, please. -> Visit example dot org, please.
# Unicode
“Hello” – she said — ‘yes’… -> "Hello" — she said — 'yes'...
wait--what?! No!!! -> wait — what?! No!
ﬁne ﬂy café naïve ｆｕｌｌ １２ -> fine fly café naïve full twelve
zero\u200bwidth, soft\u00adhyphen, nul\x00 -> zerowidth, softhyphen, nul
Müller [Marina] told {me} -> Müller (Marina) told (me)
H₂O, № 5 -> H two O, number five
# quotes
"'Tis 5," he said. -> "'Tis five," he said.
rock 'n' roll, the dogs' tails -> rock 'n' roll, the dogs' tails
# inline phonemes
the [[fuː 5½]] is 5 km [[bɑː]]. -> the [[fuː 5½]] is five kilometers [[bɑː]].
"""
CASES = [
    tuple(part.encode("latin-1", "backslashreplace").decode("unicode_escape") for part in line.split(" -> "))
    for line in GOLDEN.strip().splitlines()
    if not line.startswith("# ")
]


def test_golden_table_is_large():
    assert len(CASES) >= 80


@pytest.mark.parametrize(("written", "spoken"), CASES, ids=[case[0] for case in CASES])
def test_golden(written, spoken):
    assert normalize(written) == spoken


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("en-gb", "3/4/2015", "the third of April, twenty fifteen"),
        ("en-gb", "105 men in 2005", "one hundred and five men in two thousand and five"),
        ("fr-fr", "1 234,50 €", "mille deux cent trente-quatre euros et cinquante centimes"),
        ("fr-fr", "3,14 % de 5km", "trois virgule un quatre pour cent de cinq km"),
        ("fr-fr", "« Le 1er, la 1re, le 2e »", '"Le premier, la première, le deuxième"'),
        (
            "fr-fr",
            "3,1415 € et 1.234,5",
            "trois virgule un quatre un cinq euros et mille deux cent trente-quatre virgule cinq",
        ),
        ("fr-fr", "5 € à -7 km", "cinq euros à moins sept km"),
        ("de", "1.234 Männer, 2,5 %", "eintausendzweihundertvierunddreißig Männer, zwei Komma fünf Prozent"),
        ("de", "am 3. Mai, der 3. Mai, um 15:30", "am dritten Mai, der dritte Mai, um fünfzehn dreißig"),
        ("es", "¿19,99 €?", "¿diecinueve euros con noventa y nueve céntimos?"),
        ("es", "el 1º y la 2ª", "el primero y la segunda"),
        ("it", "1.000 € e 5%", "mille euro e cinque per cento"),
        ("ru", "5 % и 1-й, $3", "пять процентов и первый, три доллара"),
        ("ru", "234,50 ₽", "двести тридцать четыре рубля, пятьдесят копеек"),
        ("pt-br", "R$ 5 e 21", "cinco reais e vinte e um"),
        ("ja", "1.5.", "1.5."),
        ("en-us", "१२", "twelve"),
    ],
)
def test_languages(language, written, spoken):
    assert normalize(written, language) == spoken


def test_hundreds_of_digits_are_read_one_by_one():
    assert normalize("7" * 500) == " ".join(["seven"] * 500)
    assert normalize("1" * 300 + "." + "2" * 300).count("two") == 300
    assert normalize("9" * 400, "fr-fr") == " ".join(["neuf"] * 400)


def test_nothing_in_nothing_out():
    assert normalize(" \n\t \u200b") == ""


@pytest.mark.parametrize("text", ["a [[b", "[[a]] [[ b", "[[ ]]"])
def test_bad_inline_phonemes(text):
    with pytest.raises(UserError, match=r"\[\["):
        normalize(text)


def test_not_a_string():
    with pytest.raises(UserError, match="string"):
        normalize(5)


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "7",
        ".",
        "1,",
        "1,00",
        "1.",
        "-",
        "1-",
        "1/",
        "1:",
        "A.",
        "Hello, Mr. Smith. ",
        "$1",
        "a@",
        "a.",
        "5 km ",
        '"',
        "=",
        "é",
    ],
)
def test_long_line_in_linear_time(part):
    start = time.process_time()
    normalize((part * 100_000)[:100_000])
    assert time.process_time() - start < 10  # about 0.5 s; a quadratic pattern takes minutes


@pytest.mark.parametrize(("part", "end"), [("1-a", "é"), ("A-1", "_"), ("AB-1", "_"), ("12,", "1"), ("-/", "x")])
def test_long_row_without_its_end_in_linear_time(part, end):
    start = time.process_time()
    normalize(part * 10_000 + end)
    assert time.process_time() - start < 3  # about 0.1 s; a quadratic pattern takes more than 10 s


@settings(max_examples=150, deadline=None)
@given(st.text() | st.text(alphabet="0123456789.,-/:$€%' ()ampkstxIVX[]\"#&@°½²\n", max_size=40))
def test_any_text_is_spoken_without_digits(text):
    try:
        spoken = normalize(text)
    except UserError:
        return
    plain = re.sub(r"\[\[.*?\]\]", "", spoken)
    assert not re.search("[0-9]", plain)
    assert not re.search(r"[\n\r\t\0]|  ", plain)
    assert spoken == normalize(text)


@settings(max_examples=100, deadline=None)
@given(
    st.text() | st.text(alphabet="0123456789.,-/€$£%' ºªé", max_size=30),
    st.sampled_from(["fr-fr", "es", "it", "ru", "de", "pl", "ja", "tr"]),
)
def test_any_text_in_other_languages(text, language):
    try:
        assert isinstance(normalize(text, language), str)
    except UserError as error:
        assert "[[" in str(error)


def test_a_long_text_in_linear_time():
    line = "It was 5 km to St. Louis on March 3, 1999, and Mr. Lee paid $5.50 for 2 1/2 lbs of it at 10:30 p.m.\n"
    seconds = []
    for size in (50_000, 200_000):
        start = time.process_time()
        normalize(line * (size // len(line)))
        seconds.append(time.process_time() - start)
    assert seconds[1] < 3  # about 0.3 s
    assert seconds[1] < 8 * max(seconds[0], 0.05)
