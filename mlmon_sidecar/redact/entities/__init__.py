"""Personal data known by its form. One file per entity, or per family of entities with one form."""

from __future__ import annotations

from collections.abc import Mapping

from mlmon_sidecar.redact.entities.api_key import API_KEY
from mlmon_sidecar.redact.entities.bank_account import BANK_ACCOUNT, BIC
from mlmon_sidecar.redact.entities.card import CARD
from mlmon_sidecar.redact.entities.cn_resident_id import CN_RESIDENT_ID
from mlmon_sidecar.redact.entities.crypto_address import BITCOIN, BITCOIN_SEGWIT, ETHER
from mlmon_sidecar.redact.entities.date_of_birth import DATE_OF_BIRTH
from mlmon_sidecar.redact.entities.de_steuer_id import DE_STEUER_ID
from mlmon_sidecar.redact.entities.email import EMAIL
from mlmon_sidecar.redact.entities.es_dni import ES_DNI, ES_NIE
from mlmon_sidecar.redact.entities.fr_nir import FR_NIR
from mlmon_sidecar.redact.entities.iban import IBAN
from mlmon_sidecar.redact.entities.identity_document import DRIVING_LICENCE, IDENTITY_CARD, PASSPORT
from mlmon_sidecar.redact.entities.ip_address import IPV4, IPV6
from mlmon_sidecar.redact.entities.it_codice_fiscale import IT_CODICE_FISCALE
from mlmon_sidecar.redact.entities.jwt import JWT
from mlmon_sidecar.redact.entities.kinds import Entity
from mlmon_sidecar.redact.entities.mac_address import MAC_ADDRESS, MAC_ADDRESS_QUADS
from mlmon_sidecar.redact.entities.national_numbers import NATIONAL_NUMBERS
from mlmon_sidecar.redact.entities.password import PASSWORD, SECRET
from mlmon_sidecar.redact.entities.phone import PHONE
from mlmon_sidecar.redact.entities.postal_address import POSTAL_ADDRESS, POSTAL_ADDRESS_SUFFIXED
from mlmon_sidecar.redact.entities.private_key import PRIVATE_KEY
from mlmon_sidecar.redact.entities.uk_national import UK_NHS, UK_NINO
from mlmon_sidecar.redact.entities.url_credentials import URL_CREDENTIALS
from mlmon_sidecar.redact.entities.us_ssn import US_SSN

_NATIONAL = (
    US_SSN, UK_NINO, UK_NHS, DE_STEUER_ID, FR_NIR, ES_DNI, ES_NIE, IT_CODICE_FISCALE, CN_RESIDENT_ID, *NATIONAL_NUMBERS,
)  # fmt: skip

NATIONAL_ID = "national_id"
"""Names all national numbers at once, in settings and where a key tells of one."""

NATIONAL_IDS = tuple(dict.fromkeys(entity.name for entity in _NATIONAL))

# Of two that claim the same text, the earlier.
_ALL: tuple[Entity, ...] = (
    PRIVATE_KEY, JWT, API_KEY, URL_CREDENTIALS, EMAIL, IBAN, MAC_ADDRESS, MAC_ADDRESS_QUADS, IPV6, IPV4,
    CARD, *_NATIONAL, PHONE, BITCOIN, BITCOIN_SEGWIT, ETHER, PASSWORD, SECRET, PASSPORT, IDENTITY_CARD,
    DRIVING_LICENCE, BANK_ACCOUNT, BIC, DATE_OF_BIRTH, POSTAL_ADDRESS, POSTAL_ADDRESS_SUFFIXED,
)  # fmt: skip

ENTITIES: Mapping[str, tuple[Entity, ...]] = {
    name: tuple(entity for entity in _ALL if entity.name == name) for name in dict.fromkeys(one.name for one in _ALL)
}
"""Every entity by its name, and the ways in which it is found."""
