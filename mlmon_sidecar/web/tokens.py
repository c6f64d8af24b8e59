"""Tokens: who may do what. Only SHA-256 digests are kept, and every comparison takes constant time.

Each scope has at most two valid tokens, so that one can be rotated out while the other already works.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mlmon_sidecar.errors import ConfigError

TOKENS_PER_SCOPE = 2
MIN_TOKEN_LENGTH = 16  # characters; the software's own tokens have 43
MAX_TOKEN_LENGTH = 512
SESSION_PURPOSE = b"mlmon page session"


class Scope(StrEnum):
    RECORD = "record"  # hand over flushes
    LABEL = "label"  # post feedback
    READ = "read"  # the page and the status API
    ADMIN = "admin"
    IGNORE = "ignore"  # have a request left out of what is captured


DEVELOPMENT_SCOPES = (Scope.LABEL, Scope.READ)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Which tokens are valid for which scope."""

    digests: Mapping[Scope, tuple[bytes, ...]] = field(default_factory=dict)  # SHA-256, 32 bytes each

    @classmethod
    def of(cls, tokens: Mapping[Scope, Iterable[str]]) -> TokenSet:
        """From the tokens themselves."""
        return cls({scope: tuple(_digest(token) for token in dict.fromkeys(given)) for scope, given in tokens.items()})

    @property
    def empty(self) -> bool:
        """No token at all: nothing is to be mounted."""
        return not any(self.digests.values())

    def also(self, token: str, scopes: Iterable[Scope]) -> TokenSet:
        """These tokens and one more."""
        added = {scope: (*self.digests.get(scope, ()), _digest(token)) for scope in scopes}
        return TokenSet({**self.digests, **added})

    def allows(self, token: str, scope: Scope) -> bool:
        """Is ``token`` valid for ``scope``?"""
        return _among(_digest(token), self.digests.get(scope, ()))

    def knows(self, token: str) -> bool:
        """Is ``token`` valid for any scope?"""
        digest = _digest(token)
        return sum(_among(digest, digests) for digests in self.digests.values()) > 0

    def session(self, token: str) -> str:
        """What the page's cookie holds in place of ``token``: it reads, and can do nothing else."""
        return _session(_digest(token))

    def reads_with(self, session: str) -> bool:
        """Is ``session`` one of a token that is valid for reading? It ends when its token is rotated out."""
        given = session.encode("utf-8", "replace")
        return _among(given, tuple(_session(digest).encode() for digest in self.digests.get(Scope.READ, ())))


def load_tokens(files: Mapping[Scope, Path]) -> TokenSet:
    """Read one file per scope, one token a line and at most two lines. Raises ``ConfigError``."""
    return TokenSet.of({scope: read_secrets(f"tokens.{scope}", path) for scope, path in files.items()})


def read_secrets(setting: str, path: Path) -> tuple[str, ...]:
    """One secret a line, at most two. Raises ``ConfigError``."""
    try:
        tokens = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting}: {path} cannot be read ({type(error).__name__})",
            code="token_file_unreadable",
            hint="Give a readable text file with one token a line.",
        ) from error
    if not 1 <= len(tokens) <= TOKENS_PER_SCOPE:
        raise ConfigError(
            f"{setting}: {path} holds {len(tokens)} tokens",
            code="token_count",
            hint="Give one token, or two while rotating, each on its own line.",
        )
    for token in tokens:
        _check(token, f"{setting}: {path}")
    return tuple(tokens)


def development_token(path: Path) -> str:
    """The token in ``path``, made at the first call; several workers may start at once. Raises ``ConfigError``."""
    if not os.path.lexists(path):
        _create(path)
    return _read_private(path)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _session(digest: bytes) -> str:
    return hmac.new(digest, SESSION_PURPOSE, hashlib.sha256).hexdigest()


def _among(given: bytes, valid: tuple[bytes, ...]) -> bool:
    # A sum, not any(): every valid digest is compared, so time does not tell which one matched.
    return sum(hmac.compare_digest(given, digest) for digest in valid) > 0


def _check(token: str, where: str) -> None:
    if not (MIN_TOKEN_LENGTH <= len(token) <= MAX_TOKEN_LENGTH and all("!" <= letter <= "~" for letter in token)):
        raise ConfigError(
            f"{where} holds a token that is not {MIN_TOKEN_LENGTH} to {MAX_TOKEN_LENGTH} visible ASCII characters",
            code="token_form",
            hint="Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def _create(path: Path) -> None:
    """Write a new token beside ``path`` and link it there: the name appears once, and never half-written."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            os.link(draft, path)
        finally:
            os.unlink(draft)
    except FileExistsError:
        return  # Another worker was first; its token counts.
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be created ({type(error).__name__})",
            code="token_file_unwritable",
            hint="Make its folder writable, or configure tokens instead of dev = true.",
        ) from error


def _read_private(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor) as file:
            details = os.fstat(descriptor)
            token = file.read(MAX_TOKEN_LENGTH + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__})",
            code="token_file_unreadable",
            hint="Remove it; a new one is made at the next start.",
        ) from error
    if stat.S_IMODE(details.st_mode) & 0o077 or details.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} can be read by others",
            code="token_file_exposed",
            hint="Remove it; a new one is made at the next start, for this user alone.",
        )
    _check(token, str(path))
    return token
