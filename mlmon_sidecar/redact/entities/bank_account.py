"""Account numbers of a country's own form, bank codes and BIC (ISO 9362), after a word that names them."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Worded

MIN_DIGITS, MAX_DIGITS = 6, 20

_NUMBER = re.compile(r"(?<![\w-])([0-9](?:[ -]?[0-9]){5,23})(?![\w-]|\.[0-9])")
_BIC = re.compile(r"(?<![\w-])([A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?)(?![\w-])")


def _is_number(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    return MIN_DIGITS <= digits <= MAX_DIGITS and re.match(r"(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}", text) is None


BANK_ACCOUNT = Worded(
    "bank_account",
    (
        "account number", "account no", "account nr", "account #", "account num", "acct", "acct no", "acct number",
        "a/c", "a/c no", "bank account", "checking account", "savings account", "konto", "kontonummer", "kontonr",
        "konto-nr", "bankkonto", "numero de compte", "compte bancaire", "numero de cuenta", "cuenta bancaria",
        "cuenta corriente", "conto corrente", "numero di conto", "conta corrente", "conta bancaria", "numero da conta",
        "rekeningnummer", "bankrekening", "numer konta", "konta bankowego", "bankgiro", "clabe",
        "routing number", "routing no", "routing", "aba", "sort code", "blz", "bankleitzahl", "bsb",
    ),
    _NUMBER, _is_number,
)  # fmt: skip
BIC = Worded("bank_account", ("bic", "swift", "swift code", "bic code"), _BIC)
