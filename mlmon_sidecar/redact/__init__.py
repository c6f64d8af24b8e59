"""Nothing personal is kept or leaves the process."""

from mlmon_sidecar.redact.policy import Action, RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

__all__ = ["Action", "RedactionPolicy", "Redactor"]
