"""Keys for values that must stay joinable without being readable. Their material is in no repr, log or error."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.redact.placeholders import HASH_VERSION

MIN_KEY_CHARACTERS = 16
HOW = "One key a line, `ID:SECRET`, the one in use first; make a secret with: openssl rand -base64 32"

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LETTERS = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")  # without digits nothing in it looks like a number
_NO_DIGITS = frozenset({"email", "password", "api_key", "jwt", "private_key", "url_credentials", "person_name",
                        "postal_address", "date_of_birth", "ip_address", "crypto_address", "free_text",
                        "web_address"})  # fmt: skip


class HashKeys:
    """Secrets by their id. The first hashes; the older ones find what was hashed before a rotation."""

    __slots__ = ("_secrets", "active")

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._secrets = dict(secrets)
        self.active = next(iter(self._secrets))

    def __repr__(self) -> str:
        return f"HashKeys({', '.join(self._secrets)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("hash keys are not written anywhere")

    def placeholder(self, entity: str, text: str) -> str:
        """``<email:h1:k1:...>`` under the key in use: 128 bits of HMAC-SHA-256 over entity and value."""
        return self._placeholder(self.active, entity, text)

    def placeholders(self, entity: str, text: str) -> tuple[str, ...]:
        """The same under every key, the one in use first: what a value may be stored as."""
        return tuple(self._placeholder(name, entity, text) for name in self._secrets)

    def _placeholder(self, name: str, entity: str, text: str) -> str:
        message = f"{entity}\0{_canonical(entity, text)}".encode("utf-8", "replace")
        digest = hmac.new(self._secrets[name], message, hashlib.sha256).hexdigest()[:32]
        return f"<{entity}:{HASH_VERSION}:{name}:{digest.encode().translate(_LETTERS).decode()}>"


def _canonical(entity: str, text: str) -> str:
    """One spelling of a value: a card with spaces is the card without."""
    lower = text.strip().lower()
    return lower if entity in _NO_DIGITS else "".join(filter(str.isalnum, lower)) or lower


def load_hash_keys(file: str | None, variable: str | None, environ: Mapping[str, str] = os.environ) -> HashKeys | None:
    """Keys from a file, else from a variable's value; None where neither is named.

    Raises ``ConfigError`` (``hash_key_unreadable``, ``bad_hash_key``), which never quotes what it read.
    """
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"privacy.hash_key_file: cannot be read ({type(error).__name__})", code="hash_key_unreadable", hint=HOW
            ) from None
        return _parse(text.splitlines(), "privacy.hash_key_file")
    if variable:
        if not environ.get(variable):
            raise ConfigError(
                f"privacy.hash_key_env: the variable {variable} is not set", code="hash_key_unreadable", hint=HOW
            )
        return _parse(re.split(r"[\n,]", environ[variable]), "privacy.hash_key_env")
    return None


def _parse(lines: Iterable[str], place: str) -> HashKeys:
    secrets: dict[str, bytes] = {}
    for number, line in enumerate((line.strip() for line in lines), 1):
        if not line or line.startswith("#"):
            continue
        name, colon, secret = line.partition(":")
        if not colon or not _ID.fullmatch(name) or len(secret.strip()) < MIN_KEY_CHARACTERS or name in secrets:
            raise ConfigError(
                f"{place}: line {number} is no key of {MIN_KEY_CHARACTERS} characters or more with an id of its own",
                code="bad_hash_key",
                hint=HOW,
            )
        secrets[name] = secret.strip().encode()
    if not secrets:
        raise ConfigError(f"{place}: holds no key", code="bad_hash_key", hint=HOW)
    return HashKeys(secrets)
