"""Dates of birth, after a word that says so; months by number or by name in several languages."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Worded

_YEAR = r"(?:18|19|20)[0-9]{2}"
_DATE = re.compile(
    rf"(?<![\w])({_YEAR}[-./][0-9]{{1,2}}[-./][0-9]{{1,2}}|{_YEAR}[01][0-9][0-3][0-9]"
    rf"|[0-9]{{1,2}}[-./] ?[0-9]{{1,2}}[-./] ?(?:{_YEAR}|[0-9]{{2}})"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|\.|er)? (?:of |de )?[A-Za-z]{{3,10}}\.?,? (?:de |del )?{_YEAR}"
    rf"|[A-Za-z]{{3,10}}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? {_YEAR})(?![\w])"
)
_MONTHS = frozenset(
    "jan feb mar apr may jun jul aug sep oct nov dec mai okt dez mrz fev avr jui aou ene abr ago dic gen mag giu lug "
    "set ott out des maj mei sty lut kwi cze lip sie wrz paz lis gru janv fevr janu febr".split()
)
_NAME = re.compile(r"[A-Za-z]{3,10}")


def _is_date(text: str) -> bool:
    names = [name.lower()[:3] for name in _NAME.findall(text)]
    return not names or any(name in _MONTHS for name in names)


DATE_OF_BIRTH = Worded(
    "date_of_birth",
    (
        "date of birth", "birth date", "birthdate", "birthday", "dob", "d.o.b", "born", "geboren", "geburtsdatum",
        "geburtstag", "geb.", "ne le", "nee le", "date de naissance", "fecha de nacimiento", "nacido", "nacida",
        "nacio", "nato", "nata", "data di nascita", "data de nascimento", "nascido", "nascida", "nasceu",
        "geboortedatum", "geboren op", "data urodzenia", "urodzony", "urodzona", "fodelsedatum", "fodd", "fodt",
        "fodselsdato", "syntymaaika", "dogum tarihi", "data rozdenija", "rodilas", "rodilsja",
    ),
    _DATE, _is_date,
)  # fmt: skip
