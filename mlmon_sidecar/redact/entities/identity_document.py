"""Passports, identity cards and driving licences: no check digit that all share, so only after a word for it."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Worded

_DOCUMENT = re.compile(
    r"(?<![\w-])([A-Z]{1,3}[ -]?[0-9]{6,8}|[0-9]{8,9}|[0-9]{2}[A-Z]{2}[0-9]{5}|[A-Z][A-Z0-9]{7,8})(?![\w-])"
)
_LICENCE = re.compile(r"(?<![\w-])([A-Z0-9][A-Z0-9 -]{4,20}[A-Z0-9])(?![\w-])")
_DATE = re.compile(r"(?:19|20)[0-9]{2}[-/]?[0-9]{2}[-/]?[0-9]{2}|[0-9]{2}[-/][0-9]{2}[-/](?:19|20)[0-9]{2}")


def has_digits(text: str) -> bool:
    """Enough digits for the number of a document, and no date."""
    return sum(map(str.isdigit, text)) >= 4 and _DATE.fullmatch(text) is None


PASSPORT = Worded(
    "passport",
    (
        "passport", "reisepass", "reisepassnummer", "passnummer", "passeport", "pasaporte", "passaporto", "passaporte",
        "paspoort", "paszport", "paszportu", "pasport", "pasporta", "pasaport",
    ),
    _DOCUMENT, has_digits,
)  # fmt: skip
IDENTITY_CARD = Worded(
    "identity_card",
    (
        "personalausweis", "ausweisnummer", "identity card", "id card", "national id", "identity number",
        "carte d'identite", "carte nationale d'identite", "documento de identidad", "cedula", "carta d'identita",
        "identiteitskaart", "dowod osobisty", "dowodu osobistego", "cartao de cidadao",
    ),
    _DOCUMENT, has_digits,
)  # fmt: skip
DRIVING_LICENCE = Worded(
    "driving_licence",
    (
        "driving licence", "driving license", "driver's license", "driver's licence", "drivers license",
        "drivers licence", "driver license", "driver licence", "licence no", "license no", "licence number",
        "license number", "dl number", "dl no", "dl#", "dl:", "fuhrerschein", "fuehrerschein", "fuhrerscheinnummer",
        "permis de conduire", "permiso de conducir", "carnet de conducir", "licencia de conducir", "patente di guida",
        "patente", "rijbewijs", "rijbewijsnummer", "prawo jazdy", "prawa jazdy", "carteira de motorista", "cnh",
        "carta de conducao", "korkort",
    ),
    _LICENCE, has_digits,
)  # fmt: skip
