"""The errors users meet. Each carries a stable code and a hint; none carries payload text."""

from __future__ import annotations


class MlmonError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        code: stable, lower-case, underscore-separated; safe as a metric label.
        hint: what to do about it, in one sentence.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    def __str__(self) -> str:
        text = f"{super().__str__()} [{self.code}]"
        return f"{text}. {self.hint}" if self.hint else text


class ConfigError(MlmonError):
    """A setting is unknown, missing or has an impossible value. The message names file, key and value."""


class MissingExtra(MlmonError):
    """A feature was asked for whose optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs an optional dependency",
            code="missing_extra",
            hint=f"Install it with: pip install 'mlmon-sidecar[{extra}]'",
        )
        self.extra = extra


class DecodeError(MlmonError):
    """A payload could not be read as rows. ``code`` is the bounded reason that is counted.

    Attributes:
        at_byte: offset of the first fault, or -1 where there is none.
    """

    def __init__(self, message: str, *, code: str, hint: str = "", at_byte: int = -1) -> None:
        super().__init__(message, code=code, hint=hint)
        self.at_byte = at_byte


class BaselineError(MlmonError):
    """A baseline document cannot be read, or was built under another policy, layout or format."""


class StoreError(MlmonError):
    """The store cannot be opened, is of another schema version, or is not ours to write (fenced)."""


class HubUnavailable(MlmonError):
    """No hub answered. Callers keep what they hold and try again."""


class FeedbackError(MlmonError):
    """A feedback request is refused as a whole (size, content type, token). Items have receipts instead."""


class PullError(MlmonError):
    """Labels cannot be fetched from where they are said to be. What was committed before stays."""


class WireError(MlmonError):
    """A frame, message or stored blob is malformed, too large, or of another format version. Repeating it is vain."""
