"""Lines with street and house number, in the orders of several countries. Conservative: names begin with a capital."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

REACH_BACK = 60  # characters before the street's kind that may belong to it

_NAME = r"[A-Z][A-Za-z'.]*"
_NUMBERED_BEFORE = re.compile(
    rf"(?<![\w.,$-])[0-9]{{1,5}}[A-Za-z]?(?:[-/][0-9]{{1,4}})?,? (?:(?:{_NAME}|[0-9]{{1,3}}(?:st|nd|rd|th)) ){{1,4}}\Z"
)
_ENGLISH = re.compile(
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Terrace|Place|Pl|Square|Sq|Highway|Hwy"
    r"|Parkway|Pkwy|Crescent|Close|Way)\b\.?"
    r"(?:,? (?:Apt|Apartment|Unit|Suite|Ste|Flat|Floor)\.? ?#?[A-Za-z0-9-]{1,6}|,? #[A-Za-z0-9-]{1,6})?"
    rf"(?:,? (?:{_NAME})(?: {_NAME}){{0,2}},? [A-Z]{{2}},? [0-9]{{5}}(?:-[0-9]{{4}})?"
    rf"|,? (?:{_NAME})(?: {_NAME}){{0,2}},? [A-Z]{{1,2}}[0-9][A-Z0-9]? ?[0-9][A-Z]{{2}})?"
)
_NUMBER_FIRST = re.compile(r"(?<![\w.,$-])[0-9]{1,4}(?: ?(?:bis|ter|[A-D]))?,? \Z")
_FRENCH = re.compile(
    r"(?i:rue|avenue|boulevard|place|chemin|allee|impasse|quai|cours|route)"
    rf" (?:de la |de l'|du |des |de |d')?{_NAME}(?:[ -](?:de |du |la )?{_NAME}){{0,4}}(?:,? [0-9]{{5}} {_NAME})?"
)
_SOUTHERN = re.compile(
    r"(?i:calle|avenida|avda\.?|plaza|paseo|carrera|via|viale|piazza|corso|rua|travessa|praca)"
    rf" (?:de la |de los |de las |del |de |di |da |do |dos |della )?{_NAME}(?: (?:de |da |do |y |e )?{_NAME}){{0,3}}"
    rf",? (?:n[.o]{{0,2}} ?|# ?)?[0-9]{{1,4}}(?![\w])(?:,? [0-9]{{4,5}} {_NAME})?"
)
_SUFFIX_BEFORE = re.compile(
    r"(?:(?:Am|An der|Auf der|Im|In der|Zum|Zur|Alte|Neue|Grosse|Kleine) )?[A-Z][A-Za-z-]{1,40}\Z"
)
_SUFFIXED = re.compile(
    r"(?:stras?se|strase|str\.|platz|allee|gasse|weg|damm|ufer|straat|laan|plein|gracht|kade|gatan|vagen|veien|gata)"
    rf" ?[0-9]{{1,4}}(?: ?[a-z])?(?![\w])(?:,? (?:[A-Z]-)?[0-9]{{4,5}}(?: ?[A-Z]{{2}})? {_NAME})?"
)
_APART = re.compile(
    r"(?:Strasse|Strase|Str\.|Platz|Allee|Weg|Ring) [0-9]{1,4}(?: ?[a-z])?(?![\w])(?:,? [0-9]{5} [A-Z][a-z]+)?"
)
_BOX = re.compile(r"[Pp]\.? ?[Oo]\.? ?[Bb]ox [0-9]{1,6}|[Pp]ostfach [0-9][0-9 ]{1,6}[0-9]|[Aa]partado [0-9]{2,6}")


def _find(page: Page, start: int, end: int) -> Span | None:
    shadow = page.shadow
    before = shadow[max(0, start - REACH_BACK) : start]
    limit = min(page.end(start), start + 120)
    for street, ahead in ((_ENGLISH, _NUMBERED_BEFORE), (_FRENCH, _NUMBER_FIRST), (_APART, _CAPITAL_BEFORE)):
        match = street.match(shadow, start, limit)
        number = ahead.search(before) if match else None
        if match and number:
            return start - len(number[0]), match.end()
    match = _SOUTHERN.match(shadow, start, limit) or _BOX.match(shadow, start, limit)
    return match.span() if match else None


_CAPITAL_BEFORE = re.compile(r"(?:[A-Z][a-z]+[ -]){1,2}\Z")


def _find_suffixed(page: Page, start: int, end: int) -> Span | None:
    """``start`` is the letter before the suffix: ``Hauptstrasse 5``."""
    shadow = page.shadow
    match = _SUFFIXED.match(shadow, start + 1, min(page.end(start), start + 80))
    before = _SUFFIX_BEFORE.search(shadow[max(0, start - REACH_BACK) : start + 1]) if match else None
    return (start + 1 - len(before[0]), match.end()) if match and before else None


_KINDS = (
    "Street", "St", "Avenue", "Ave", "Road", "Rd", "Boulevard", "Blvd", "Lane", "Ln", "Drive", "Dr", "Court", "Ct",
    "Terrace", "Place", "Pl", "Square", "Sq", "Highway", "Hwy", "Parkway", "Pkwy", "Crescent", "Close", "Way",
    "rue", "Rue", "avenue", "boulevard", "place", "chemin", "allee", "impasse", "quai", "cours", "route",
    "[Cc]alle", "Avenida", "avenida", "[Aa]vda", "[Pp]laza", "[Pp]aseo", "[Cc]arrera", "[Vv]ia", "[Vv]iale",
    "[Pp]iazza", "[Cc]orso", "[Rr]ua", "[Tt]ravessa", "[Pp]raca", "Stras?se", "Str[.]", "Platz", "Allee", "Weg", "Ring",
    "[Pp][.]? ?[Oo][.]? ?[Bb]ox", "[Pp]ostfach", "[Aa]partado",
)  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
POSTAL_ADDRESS = Token("postal_address", (rf"\b(?:{'|'.join(_KINDS)})\b",), "SARBLDCTPHWracpiqvtV" + "WO", _find)
POSTAL_ADDRESS_SUFFIXED = Token(
    "postal_address",
    (
        r"[a-z](?:stras?se|str[.]|platz|allee|gasse|weg|damm|ufer|straat|laan|plein|gracht|kade|gatan|vagen|veien|gata)"
        r" ?[0-9]",
    ),
    _LETTERS,
    _find_suffixed,
)
