"""Passwords and secrets after the word that names them: ``password=...``, ``my password is ...``, ``Bearer ...``."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Worded

_NO_SECRET = frozenset(
    "null none nil true false undefined string required optional invalid incorrect wrong missing empty expired reset "
    "forgotten here changed yes no n/a is was the a and or hidden redacted must should".split()
)
_GIVEN = r"[\"']?\s{0,4}(?:[:=]{1,2}>?|=>|->)\s{0,4}"
_IS = r"\s{1,3}(?:is|was|ist|lautet|est|es|e|to|jest)(?: now| set to)?:?\s{1,3}"
_VALUE = re.compile(
    rf"{_GIVEN}(?:\"([^\"\x1d\x1e]{{1,128}})\"|'([^'\x1d\x1e]{{1,128}})'|([^\s\"'<>&;,\x1d\x1e]{{1,128}}))"
    rf"|{_IS}[\"']?([^\s\"'<>\x1d\x1e]{{4,128}})"
)
_TOKEN_VALUE = re.compile(
    rf"(?:{_GIVEN}|\s)(?:(?:Bearer|Basic|Token)\s)?[\"']?([A-Za-z0-9+/=_.~%-]{{12,512}})", re.IGNORECASE
)


def _is_password(text: str) -> bool:
    bare = text.rstrip(".,;:!?)]}")
    return len(bare) >= 4 and bare.lower() not in _NO_SECRET and not bare.startswith(("${", "{{", "***", "%("))


def _is_told(text: str) -> bool:
    """After "is" any word may follow: a password holds a digit or a sign, or letters of both cases inside."""
    bare = text.rstrip(".,;:!?)]}")
    return _is_password(text) and (
        any(not character.isalpha() for character in bare) or bare[1:] not in (bare[1:].lower(), bare[1:].upper())
    )


def _is_secret(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text)) and len(set(text)) > 5


PASSWORD = Worded(
    "password",
    (
        "password", "passwords", "passwd", "passwort", "pwd", "passphrase", "passcode", "kennwort", "mot de passe",
        "contrasena", "clave", "senha", "wachtwoord", "haslo", "parola", "losenord", "adgangskode", "salasana",
        "parolj", "sifre", "mdp",
    ),
    _VALUE, _is_told, True, _is_password,
)  # fmt: skip

SECRET = Worded(
    "password",
    (
        "secret", "client_secret", "client-secret", "secret_key", "secretkey", "secret key", "api_key", "api-key",
        "apikey", "api key", "access_token", "auth_token", "refresh_token", "id_token", "session_token", "token",
        "access_key", "private_key", "authorization", "bearer", "x-api-key", "sessionid", "session_id",
        "aws_secret_access_key", "connectionstring",
    ),
    _TOKEN_VALUE, _is_secret, True,
)  # fmt: skip
