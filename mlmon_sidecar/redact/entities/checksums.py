"""Check digits. Every function takes digits (or letters where it says so) without separators."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
_ZERO = ord("0")

_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    raw = digits.encode("ascii")
    return (sum(raw[-1::-2]) + sum(raw[-2::-2].translate(_DOUBLED)) - _ZERO * len(raw)) % 10 == 0


def verhoeff(digits: str) -> bool:
    """J. Verhoeff, Error Detecting Decimal Codes (1969): the dihedral group of order 10.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Sum of each digit times its weight; digits beyond the weights do not count.

    >>> weighted("123", (3, 2, 1))
    10
    """
    return sum(map(mul, map(int, digits), weights))


def mod97_letters(text: str) -> int:
    """ISO/IEC 7064 MOD 97-10 over digits and letters (A is 10), as ISO 13616 takes it.

    >>> mod97_letters("3214282912345698765432161182")
    1
    """
    return int("".join(str(int(character, 36)) for character in text)) % 97


def mod11_10(digits: str) -> bool:
    """ISO/IEC 7064 MOD 11,10.

    >>> mod11_10("86095742719"), mod11_10("86095742718")
    (True, False)
    """
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def is_day(month: str, day: str) -> bool:
    """Whether month and day can be a date of some year.

    >>> is_day("02", "29"), is_day("04", "31"), is_day("13", "01")
    (True, False, False)
    """
    return 1 <= int(month) <= 12 and 1 <= int(day) <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[int(month) - 1]
