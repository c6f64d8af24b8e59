"""Which names are personal. Exact match on the normalised name, never a substring: ``max_tokens`` is no token.

A name may be qualified (``customer_email``, ``billing_address``) or numbered (``phone2``); the rest must match exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAMES = {
    "password": """password passwd pwd passphrase passcode pin secret client_secret secret_key private_key token
        access_token refresh_token id_token auth_token session_token csrf_token api_key apikey x_api_key api_token
        authorization proxy_authorization auth credential credentials cookie set_cookie session_id sessionid
        session_key jwt bearer passwort kennwort mot_de_passe contrasena senha wachtwoord otp access_key
        secret_access_key
        aws_secret_access_key aws_access_key_id connection_string security_answer""",
    "email": """email e_mail mail email_address mail_address e_mail_address email_addr correo correo_electronico
        adresse_mail courriel mailadresse""",
    "phone": """phone phone_number phone_no phonenumber mobile mobile_number mobile_no mobile_phone cell_phone
        cellphone telephone telephone_number tel tel_no fax fax_number msisdn whatsapp telefon telefonnummer telefono
        telefone celular movil handynummer gsm rufnummer contact_number""",
    "person_name": """first_name firstname last_name lastname middle_name middlename full_name fullname given_name
        given_names family_name familyname surname maiden_name person_name legal_name real_name cardholder
        cardholder_name card_holder card_holder_name account_holder account_holder_name beneficiary_name
        customer_name client_name patient_name employee_name user_full_name applicant_name borrower_name
        vorname nachname prenom nom_de_famille apellido apellidos primer_apellido nombre_completo cognome sobrenome
        nome_completo achternaam voornaam imie nazwisko""",
    "postal_address": """address street street_address street_name address_line address_line1 address_line2 addr
        postal_address mailing_address residence_address house_number adresse strasse anschrift direccion domicilio
        indirizzo endereco adres""",
    "date_of_birth": """date_of_birth birth_date birthdate birthday dob birth_day geburtsdatum
        date_de_naissance fecha_de_nacimiento fecha_nacimiento data_di_nascita data_de_nascimento data_nascimento
        geboortedatum data_urodzenia""",
    "us_ssn": "ssn social_security_number social_security_no social_security ssn_last4 itin us_ssn",
    "national_id": """national_id national_id_number national_identification_number national_insurance_number
        nino ni_number
        tax_id tax_number taxpayer_id tin nhs_number id_card id_card_number identity_card identity_number
        identity_document identification_number citizen_id resident_id personal_id personal_number personal_code
        steuer_id steuernummer steueridentifikationsnummer insee numero_securite_sociale dni nif
        codice_fiscale bsn burgerservicenummer pesel personnummer cpf cpf_number aadhaar aadhaar_number aadhar pan_card
        social_insurance_number tfn tax_file_number ahv rrn curp cedula fodselsnummer cpr national_number
        personalausweis ausweisnummer""",
    "passport": "passport passport_number passport_no passport_id reisepass reisepassnummer pasaporte passeport "
    "passaporto",
    "driving_licence": """driver_license drivers_license driver_licence drivers_licence driving_license driving_licence
        driver_license_number drivers_license_number driving_licence_number driving_license_number license_number
        licence_number license_no licence_no dl_number fuhrerschein fuehrerschein permis_de_conduire""",
    "card": """card_number credit_card credit_card_number debit_card debit_card_number card_no cardnumber ccn cc_number
        pan primary_account_number payment_card payment_card_number creditcard kreditkarte tarjeta numero_tarjeta""",
    "card_security": "cvv cvc cvv2 cvc2 card_cvc card_cvv csc security_code card_security_code card_pin track_data "
    "track1 track2",
    "iban": "iban iban_number",
    "bank_account": """bic swift swift_code bic_code account_number account_no acct_number acct_no bank_account
        bank_account_number routing_number sort_code kontonummer clabe blz bankleitzahl bsb aba_number""",
    "medical_record": """medical_record_number mrn patient_number health_plan_number health_insurance_number
        insurance_member_id medicare_number""",
    "ip_address": "ip_address ipaddress ip_addr client_ip remote_ip source_ip src_ip user_ip remote_addr "
    "x_forwarded_for x_real_ip ipv4 ipv6",
    "mac_address": "mac_address macaddress mac_addr hardware_address",
    "crypto_address": "wallet_address btc_address bitcoin_address eth_address ethereum_address crypto_wallet "
    "crypto_address",
    "coordinates": """latitude longitude lat lon lng latlng lat_lng lat_lon latlon geo_location geolocation gps
        gps_coordinates gps_location coordinates geo_coordinates geo_point geopoint""",
}  # fmt: skip

_STRICT = {
    "person_name": "name names username user_name login nickname nick author contact_name display_name screen_name "
    "nom nombre nome",
    "person_id": "user_id userid customer_id client_id patient_id member_id employee_id person_id subject_id "
    "account_id",
    "device": "device_id deviceid imei imsi idfa gaid android_id serial_number vin license_plate licence_plate "
    "plate_number user_agent",
    "ip_address": "ip",
    "mac_address": "mac",
    "postal_address": "city town village county zip zip_code zipcode postcode post_code postal_code plz",
    "free_text": "comment comments message messages note notes free_text description remark remarks bio about",
}  # fmt: skip

_HIPAA = {  # 45 CFR 164.514(b)(2): what else must go for a set of data to count as de-identified
    "date": """admission_date discharge_date date_of_death death_date service_date visit_date encounter_date
        appointment_date surgery_date procedure_date admitted_at discharged_at""",
    "medical_record": "beneficiary_number health_plan_beneficiary_number certificate_number case_number record_number",
    "web_address": "url urls website homepage profile_url web_address",
    "biometric": "fingerprint voiceprint retina_scan face_id photo photograph picture selfie face_image biometric",
}

_QUALIFIERS = frozenset(
    "user users customer client contact billing shipping delivery home work office business personal primary secondary "
    "alternate alternative backup other emergency patient employee applicant borrower member sender recipient receiver "
    "owner holder buyer seller payer payee guest passenger driver student subscriber author account login current "
    "old new "
    "default main my your his her their mother mothers father spouse guardian beneficiary from to cc bcc reply raw the "
    "bank company db database admin root smtp cardholder origin destination pickup dropoff delivery last_known".split()
)
_TAILS = frozenset({"value", "text", "raw", "str", "string", "plain", "field", "input", "1", "2", "3", "4", "5"})


def _table(*sources: Mapping[str, str]) -> dict[str, str]:
    return {name: label for source in sources for label, names in source.items() for name in names.split()}


DEFAULT_KEYS: Mapping[str, str] = _table(_NAMES)
"""Normalised name to the entity that its value is."""

STRICT_KEYS: Mapping[str, str] = _table(_NAMES, _STRICT)

HIPAA_KEYS: Mapping[str, str] = _table(_NAMES, _STRICT, _HIPAA)

KEY_LABELS = frozenset(HIPAA_KEYS.values())

OTHER = "field"
"""The entity of a name that only the settings know."""

_BEFORE_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\s\-_/:]+")
_NUMBERED = re.compile(r"(?<=[a-z])_?[0-9]\Z")


def normalise_key(name: str) -> str:
    """Camel case, kebab case and blanks to snake case.

    >>> [normalise_key(name) for name in ("firstName", "X-Api-Key", "APIKey", "card number", "max_tokens")]
    ['first_name', 'x_api_key', 'api_key', 'card_number', 'max_tokens']
    """
    return _SEPARATORS.sub("_", _BEFORE_WORD.sub("_", name)).strip("_").lower()


def label_of(name: str, table: Mapping[str, str]) -> str | None:
    """The entity that a name stands for; None where it stands for none.

    >>> [label_of(name, DEFAULT_KEYS) for name in ("customerEmail", "phone2", "max_tokens", "phone_age_days")]
    ['email', 'phone', None, None]
    """
    parts = normalise_key(name).split("_")
    while True:
        rest = "_".join(parts)
        label = table.get(rest) or table.get(_NUMBERED.sub("", rest))
        if label is not None:
            return label
        if len(parts) > 1 and parts[-1] in _TAILS:
            parts = parts[:-1]
        elif len(parts) > 1 and parts[0] in _QUALIFIERS:
            parts = parts[1:]
        else:
            return None
