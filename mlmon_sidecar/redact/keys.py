"""Which names are personal. Exact match on the normalised name, never a substring: ``max_tokens`` is no token."""

from __future__ import annotations

import re

CREDENTIALS = frozenset({
    "password", "passwd", "pwd", "passphrase", "passcode", "pin", "secret", "client_secret", "secret_key",
    "private_key", "token", "access_token", "refresh_token", "id_token", "auth_token", "session_token", "csrf_token",
    "api_key", "apikey", "x_api_key", "api_token", "authorization", "proxy_authorization", "auth", "credentials",
    "cookie", "set_cookie", "session_id", "sessionid", "jwt", "bearer",
})  # fmt: skip

PEOPLE = frozenset({
    "email", "e_mail", "mail", "email_address", "user_email", "customer_email", "contact_email",
    "phone", "phone_number", "mobile", "mobile_number", "mobile_phone", "home_phone", "work_phone", "telephone", "fax",
    "first_name", "firstname", "last_name", "lastname", "middle_name", "full_name", "fullname", "given_name",
    "family_name", "surname", "maiden_name", "customer_name", "cardholder_name", "account_holder",
    "address", "street", "street_address", "address_line", "address_line_1", "address_line_2", "address1", "address2",
    "home_address", "billing_address", "shipping_address", "postal_address",
    "date_of_birth", "birth_date", "birthdate", "birthday", "dob",
})  # fmt: skip

NUMBERS = frozenset({
    "ssn", "social_security_number", "national_id", "national_insurance_number", "nino", "tax_id", "tin",
    "passport", "passport_number", "driver_license", "drivers_license", "driver_licence", "license_number",
    "card_number", "credit_card", "credit_card_number", "card_no", "pan", "cvv", "cvc", "card_cvc",
    "iban", "bic", "account_number", "bank_account", "routing_number", "sort_code", "medical_record_number", "mrn",
})  # fmt: skip

DEFAULT_KEYS = CREDENTIALS | PEOPLE | NUMBERS

STRICT_KEYS = DEFAULT_KEYS | frozenset({
    "name", "username", "user_name", "login", "nickname", "user_id", "userid", "customer_id", "client_id", "patient_id",
    "device_id", "ip", "ip_address", "client_ip", "remote_addr", "mac_address", "imei", "vin", "license_plate",
    "city", "zip", "zip_code", "zipcode", "postcode", "postal_code", "latitude", "longitude", "lat", "lon", "lng",
    "comment", "comments", "message", "notes", "free_text", "description",
})  # fmt: skip

_BEFORE_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\s\-_/:]+")


def normalise_key(name: str) -> str:
    """Camel case, kebab case and blanks to snake case.

    >>> [normalise_key(name) for name in ("firstName", "X-Api-Key", "APIKey", "card number", "max_tokens")]
    ['first_name', 'x_api_key', 'api_key', 'card_number', 'max_tokens']
    """
    return _SEPARATORS.sub("_", _BEFORE_WORD.sub("_", name)).strip("_").lower()
