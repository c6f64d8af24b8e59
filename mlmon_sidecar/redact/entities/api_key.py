"""Keys of clouds and services, by the prefixes that their makers publish so that leaked ones can be found."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities.kinds import Span, Token
from mlmon_sidecar.redact.page import Page

_FORMS = (
    r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z2-7]{16}",  # Amazon Web Services
    r"AIza[A-Za-z0-9_-]{35}", r"ya29\.[A-Za-z0-9_-]{20,}", r"GOCSPX-[A-Za-z0-9_-]{28}",  # Google
    r"gh[pousr]_[A-Za-z0-9]{36,}", r"github_pat_[A-Za-z0-9_]{22,}",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|ft|agent)-[A-Za-z0-9_-]{20,}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}", r"xapp-[0-9]-[A-Za-z0-9-]{10,}",  # Slack
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}", r"whsec_[A-Za-z0-9+/=]{24,}",  # Stripe
    r"sk-(?:proj-|svcacct-|admin-|ant-|or-)?[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic and those alike
    r"hf_[A-Za-z0-9]{30,}", r"gsk_[A-Za-z0-9]{40,}", r"r8_[A-Za-z0-9]{37,}", r"pplx-[A-Za-z0-9]{40,}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", r"key-[0-9a-f]{32}",  # mailers
    r"(?:AC|SK)[0-9a-f]{32}",  # Twilio
    r"npm_[A-Za-z0-9]{36}", r"pypi-[A-Za-z0-9_-]{50,}", r"dckr_pat_[A-Za-z0-9_-]{20,}",
    r"do[oprt]_v1_[0-9a-f]{64}", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", r"dapi[0-9a-f]{32}",
    r"(?:hvs|hvb)\.[A-Za-z0-9_-]{24,}", r"NRAK-[A-Z0-9]{27}", r"lin_api_[A-Za-z0-9]{40}", r"glsa_[A-Za-z0-9_]{32,}",
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}", r"EAAA[A-Za-z0-9_-]{60}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}", r"tfp_[A-Za-z0-9]{40,}", r"sntrys_[A-Za-z0-9_=+/-]{30,}",
)  # fmt: skip
_FORM = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(_FORMS)})(?![A-Za-z0-9])")
_AZURE = re.compile(r"(?:AccountKey|SharedAccessKey|sig)=([A-Za-z0-9+/%]{40,}={0,2})")  # Azure connection texts


def _find(page: Page, start: int, end: int) -> Span | None:
    match = _FORM.match(page.shadow, start)
    if match:
        return match.span()
    azure = _AZURE.match(page.shadow, start)
    return azure.span(1) if azure else None


_PREFIXES = (
    "AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "AIza", "ya29[.]", "GOCSPX-", "gh[pousr]_", "github_pat_",
    "gl[a-z]+-", "xox[abeoprs]-", "xapp-", "[srp]k_live_", "[srp]k_test_", "whsec_", "sk-", "hf_", "gsk_", "r8_",
    "pplx-", "SG[.]", "key-", "npm_", "pypi-", "dckr_pat_", "do[oprt]_v1_", "shp[a-z]+_", "dapi", "hv[sb][.]", "NRAK-",
    "lin_api_", "glsa_", "PMAK-", "sq0[a-z]+-", "EAAA", "AGE-SECRET-KEY-", "tfp_", "sntrys_", "AccountKey=",
    "SharedAccessKey=", "sig=",
)  # fmt: skip
_TAIL = "[A-Za-z0-9_+/%-]" * 8
API_KEY = Token(
    "api_key",
    (rf"\b(?:{'|'.join(_PREFIXES)}){_TAIL}", r"\b(?:AC|SK)" + "[0-9a-f]" * 10),
    "AagGxwrphnsdSEtlNPy",
    _find,
)
