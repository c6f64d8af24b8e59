"""Payment cards: issuer prefix and length (ISO/IEC 7812 and the schemes' published ranges), and the Luhn digit."""

from __future__ import annotations

from functools import cache
from itertools import chain

from mlmon_sidecar.redact.entities.checksums import luhn
from mlmon_sidecar.redact.entities.kinds import CONTEXT, FORM, Number
from mlmon_sidecar.redact.page import Words

LONGEST_PREFIX = 4  # digits

_RANGES = (
    # first and last prefix, lengths
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)), ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)), ("37", "37", (15,)),  # American Express
    ("6011", "6011", (16, 19)), ("644", "649", (16, 19)), ("65", "65", (16, 19)),  # Discover, RuPay
    ("300", "305", (14, 16)), ("36", "36", (14, 16)), ("38", "39", (14, 16)),  # Diners Club
    ("3528", "3589", (16, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)), ("81", "81", (16,)),  # UnionPay, RuPay
    ("2200", "2204", (16, 19)),  # Mir
    ("60", "60", (16,)),  # RuPay, Hipercard
    ("5018", "5018", (16,)), ("5020", "5020", (16,)), ("5038", "5038", (16,)), ("5893", "5893", (16,)),  # Maestro
    ("6304", "6304", (16,)), ("6759", "6763", (16,)), ("9792", "9792", (16,)),  # Maestro, Troy
)  # fmt: skip


def is_card(digits: str) -> bool:
    """Whether an issuer gives out numbers like this one, and its last digit is right."""
    return len(digits) in _lengths(digits[:LONGEST_PREFIX]) and luhn(digits) and digits.strip(digits[0]) != ""


@cache
def _lengths(beginning: str) -> frozenset[int]:
    """Of the numbers that an issuer gives out under these first digits."""
    given = (lengths for first, last, lengths in _RANGES if first <= beginning[: len(first)] <= last)
    return frozenset(chain.from_iterable(given))


CARD = Number(
    "card",
    {
        "14": FORM, "15": FORM, "16": FORM, "17": FORM, "18": FORM, "19": FORM,
        "13": CONTEXT,  # out of use, and an EAN looks the same
        "4 4 4 4": FORM, "4-4-4-4": FORM, "4.4.4.4": FORM, "4 6 5": FORM, "4-6-5": FORM, "4 6 4": FORM, "4-6-4": FORM,
        "4 4 4 4 3": FORM, "4-4-4-4-3": FORM, "6 13": FORM, "4 4 4 3": FORM, "4  4  4  4": FORM,
    },
    is_card,
    Words("card|visa|mastercard|amex|american express|maestro|discover|pan|credit|debit|kreditkarte|karte|carte"
          "|tarjeta|carta di credito|cartao|karta|creditcard|kreditkort|kart|kartou|kartoj|kartica",
          ("卡号", "信用卡", "カード", "카드", "بطاقة")),
)  # fmt: skip
