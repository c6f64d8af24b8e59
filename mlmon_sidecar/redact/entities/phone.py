"""Phone numbers: international ones by ITU-T E.164, national ones by their grouping or near a context word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlmon_sidecar.redact.entities.kinds import Digits, Span, left_free, right_free
from mlmon_sidecar.redact.page import REACH_AFTER, REACH_BEFORE, Page, Words

MIN_DIGITS, MAX_DIGITS = 8, 15  # with country code; E.164 allows 15
MIN_NATIONAL = 7

_ONE_DIGIT = "17"
_TWO_DIGITS = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 "
    "91 92 93 94 95 98".split()
)
_THREE_DIGITS = re.compile(r"2[1-69]|35|37|38|42|50|59|67|68|69|80|85|87|88|96|97|99")  # their first two digits
_INTERNATIONAL = re.compile(r"[0-9](?:[ .\-/]?(?:\([0-9]{1,4}\)|[0-9])|[ .\-]\([0-9]{1,4}\)|\)[ .\-]?[0-9]){6,}")
_AMERICAN = re.compile(
    r"(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}(?![0-9])"
)  # North American Numbering Plan: neither area nor exchange begins with 0 or 1
_TRUNK = re.compile(
    r"0[1-9](?P<sign>[ .\-])[0-9]{2}(?:(?P=sign)[0-9]{2}){3}(?![0-9])"  # France: five pairs
    r"|0[0-9]{1,4}[ -][0-9]{3,4}[ -][0-9]{3,4}(?![0-9])"  # 020 7946 0958, 03-1234-5678
    r"|0[1-9][0-9]{2,4}[ /-][0-9]{5,8}(?![0-9])"  # 0171 1234567, 07911 123456
    r"|\(0[0-9]{1,4}\) ?[0-9]{3,4}[ -]?[0-9]{3,8}(?![0-9])"
)
_NATIONAL = re.compile(r"\(?[0-9](?:[ .\-/]{0,2}\(?[0-9]\)?){6,14}(?![0-9])")
_FIRST = re.compile(r"[0-9]+")
_WRITTEN = re.compile(rf"(?<![0-9])(?:{_AMERICAN.pattern}|{_TRUNK.pattern}|00[1-9])")

WORDS = Words(
    r"tel|telephone|phone|phones|phone number|mobile|mobil|mob|cell|cellphone|cellular|call|calls|called|dial|fax|sms"
    r"|text|whatsapp|signal|hotline|ring|telefon|telefonnummer|telefonnr|handy|handynummer|rufnummer|anruf|rueckruf|ruckruf"
    r"|telefono|telefone|movil|celular|llamar|llame|llama|ligar|ligue|cellulare|chiama|chiamare|appeler|appelez"
    r"|portable|numero de tel|gsm|telefoon|bel|bellen|mobiel|puhelin|puh|telefoonnummer|telefonszam|komorka|zadzwon"
    r"|telefonu|cep|contact number|contact no|ph|mobiltelefon|tlf|nomor|telepon|hp|telefona|mobilnij|mobilnyj|zvonit",
    ("电话", "手机", "電話", "携帯", "전화", "휴대폰", "هاتف", "جوال", "טלפון", "फोन", "मोबाइल", "โทร"),
)


def has_country_code(digits: str) -> bool:
    """Whether the number begins with a country calling code that is in use, and a possible number follows."""
    if digits[:1] == "1":
        return len(digits) == 11 and digits[1] in "23456789" and digits[4] in "23456789"
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS:
        return False
    return digits[:1] in _ONE_DIGIT or digits[:2] in _TWO_DIGITS or _THREE_DIGITS.match(digits) is not None


def _find(page: Page, start: int, end: int) -> Iterator[Span]:
    """A ``+`` is no part of a run of digits, so that it can only stand before one."""
    shadow, at = page.shadow, start
    for prefix in ("+", "(+"):
        if shadow.endswith(prefix, 0, start):
            found = _international(shadow, start, start - len(prefix), end)
            if found is not None:
                yield found
                at = found[1]
    at -= at == start and shadow.endswith("(", 0, start)
    while match := _WRITTEN.search(shadow, at, end):
        page.look()
        found = _written(page, match, end)
        if found is not None:
            yield found
        at = found[1] if found is not None else match.start() + 1
    numbers = list(_national(page, start, end))
    if numbers and _is_spoken_of(page, start, end):
        yield from numbers


def _written(page: Page, match: re.Match[str], end: int) -> Span | None:
    """A number by its grouping, or with 00 for the plus."""
    shadow, start = page.shadow, match.start()
    if not left_free(shadow, start):
        return None
    if shadow.startswith("00", start):
        return _international(shadow, start + 2, start, end, separated=not _is_spoken_of(page, start, end))
    by_form = _AMERICAN.match(shadow, start, end) or _TRUNK.match(shadow, start, end)
    return by_form.span() if by_form and right_free(shadow, by_form.end()) else None


def _is_spoken_of(page: Page, start: int, end: int) -> bool:
    return page.speaks_of(WORDS, start, end) or page.continues("phone", start)


def _international(shadow: str, at: int, start: int, end: int, *, separated: bool = False) -> Span | None:
    """``at`` is the country code's first digit. ``separated``: written in one piece it may be anything."""
    match = _INTERNATIONAL.match(shadow, at, end)
    if match is None or (start and shadow[start - 1].isalnum()):
        return None
    for stop in _stops(match[0]):
        digits = "".join(filter(str.isdigit, match[0][:stop].replace("(0)", "")))
        if has_country_code(digits) and right_free(shadow, at + stop) and not (separated and match[0][:stop].isdigit()):
            return (start, at + stop)
    return None


def _stops(text: str) -> Iterator[int]:
    """Ends of the first groups, longest first; a first group that is long enough stands alone."""
    groups = [group.end() for group in _FIRST.finditer(text)][:8]
    if groups and groups[0] >= MIN_DIGITS:
        groups = groups[:1]
    return reversed(groups)


def _national(page: Page, start: int, end: int) -> Iterator[Span]:
    """What a word nearby would make a number; in a long run only at its ends, which a word can be near."""
    shadow, at = page.shadow, start
    while match := _FIRST.search(shadow, at, end):
        at = match.end()
        begin = match.start() - 1 if shadow.startswith("(", match.start() - 1) else match.start()
        if begin - start > REACH_BEFORE and end - begin > 2 * REACH_AFTER:
            at = end - 2 * REACH_AFTER
            continue
        number = _NATIONAL.match(shadow, begin, end) if left_free(shadow, begin) else None
        if number and right_free(shadow, number.end()) and not _looks_like_date(number[0]):
            yield number.span()
            at = number.end()


def _looks_like_date(text: str) -> bool:
    return re.match(r"(?:19|20)[0-9]{2}([-/.])[0-9]{2}\1[0-9]{2}", text) is not None


PHONE = Digits("phone", _find, last=True)
