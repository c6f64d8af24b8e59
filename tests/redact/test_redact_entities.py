"""Each entity with texts that hold it and texts that only look so. Published examples, or made to fit."""

import pytest

from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.redactor import Redactor

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"

POSITIVE: dict[str, dict[str, str]] = {
    "email": {"to jo@example.org now": "to {} now"},
    "phone": {
        "+14155552671": "{}",
        "+49 30 1234567": "{}",
        "+44 (0)20 7946 0958": "{}",
        "+33 6 12 34 56 78": "{}",
        "+5511987654321": "{}",
        "+91-98765-43210": "{}",
        "(415) 555-2671": "{}",
        "call 415-555-2671": "call {}",
        "1-800-555-0199": "{}",
        "06 12 34 56 78": "{}",
        "020 7946 0958": "{}",
        "Tel 03-1234-5678": "Tel {}",
        "0049 30 1234567": "{}",
        "Tel.: 0171/1234567": "Tel.: {}",
        "call me on 5552671 please": "call me on {} please",
        "Handy 01711234567": "Handy {}",
        "电话13812345678": "电话{}",
        "携帯 09012345678": "携帯 {}",
        "teléfono 612345678": "teléfono {}",
        "телефон 89161234567": "телефон {}",
        "phones 5551234567, 5559876543 and 5551112222": "phones {}, {} and {}",
    },
    "card": {
        "4111111111111111": "{}",
        "4111 1111 1111 1111": "{}",
        "5555-5555-5555-4444": "{}",
        "378282246310005": "{}",
        "3782 822463 10005": "{}",
        "6011111111111117": "{}",
        "30569309025904": "{}",
        "3530111333300000": "{}",
        "2223003122003222": "{}",
        "6200000000000005": "{}",
        "4111111111111111.": "{}.",
        "(4111111111111111)": "({})",
        "card:4111111111111111": "card:{}",
        "４１１１ １１１１ １１１１ １１１１": "{}",
        "4111\u00a01111\u00a01111\u00a01111": "{}",
        "4111\u200b1111\u200b1111\u200b1111": "{}",
        "٤١١١١١١١١١١١١١١١": "{}",
        "4111‑1111‑1111‑1111": "{}",
        "visa 4222222222222": "visa {}",
        "/cards/4111111111111111/x": "/cards/{}/x",
        "12/25 4111 1111 1111 1111": "12/25 {}",
    },
    "iban": {
        "DE89370400440532013000": "{}",
        "DE89 3704 0044 0532 0130 00": "{}",
        "GB29NWBK60161331926819.": "{}.",
        "FR1420041010050500013M02606": "{}",
        "NO9386011117947": "{}",
        "gb29 nwbk 6016 1331 9268 19": "{}",
        "MT84MALT011000012345MTLCAST001S": "{}",
        "IBAN:NL91ABNA0417164300,": "IBAN:{},",
    },
    "us_ssn": {
        "219-09-9998": "{}",
        "219 09 9998": "{}",
        "SSN 219099998": "SSN {}",
        "ssn:219099998": "ssn:{}",
        "his social security number is 219099998": "his social security number is {}",
        "912-70-1234": "{}",
    },
    "uk_nino": {"NINO AB123456C": "NINO {}", "AB 12 34 56 C": "{}", "ni number ab123456d.": "ni number {}."},
    "uk_nhs": {"NHS number 943 476 5919": "NHS number {}", "NHS 9434765919": "NHS {}"},
    "de_steuer_id": {"86 095 742 719": "{}", "Steuer-ID 86095742719": "Steuer-ID {}", "IdNr. 47036892816": "IdNr. {}"},
    "fr_nir": {"255081416802538": "{}", "2 55 08 14 168 025 38": "{}"},
    "es_dni": {"12.345.678-Z": "{}", "NIF 12345678-Z": "NIF {}", "DNI: 12345678z": "DNI: {}"},
    "es_nie": {"X1234567L": "{}", "Y-1234567-X": "{}"},
    "it_codice_fiscale": {"RSSMRA85T10A562S": "{}", "cf rssmra85t10a562s,": "cf {},"},
    "nl_bsn": {"BSN 111222333": "BSN {}", "burgerservicenummer: 123456782": "burgerservicenummer: {}"},
    "pl_pesel": {"PESEL 44051401359": "PESEL {}", "pesel: 02070803628": "pesel: {}"},
    "se_personnummer": {"811228-9874": "{}", "19811228-9874": "{}", "personnummer 8112289874": "personnummer {}"},
    "br_cpf": {"111.444.777-35": "{}", "529.982.247-25": "{}", "CPF 52998224725": "CPF {}"},
    "in_aadhaar": {"UIDAI: 2341 2341 2346": "UIDAI: {}", "Aadhaar 234123412346": "Aadhaar {}"},
    "ca_sin": {
        "SIN: 046-454-286": "SIN: {}",
        "SIN 046 454 286": "SIN {}",
        "social insurance 046454286": "social insurance {}",
    },
    "au_tfn": {"TFN 123 456 782": "TFN {}", "tax file number: 123456782": "tax file number: {}"},
    "ch_ahv": {"756.9217.0769.85": "{}", "7569217076985": "{}"},
    "be_rrn": {"85.07.30-033.28": "{}", "rijksregisternummer 85073003328": "rijksregisternummer {}"},
    "no_fnr": {"fødselsnummer 01010750160": "fødselsnummer {}"},
    "cn_resident_id": {"11010519491231002X": "{}", "身份证11010519491231002X号": "身份证{}号"},
    "ip_address": {
        "192.168.1.20": "{}",
        "ssh 10.0.0.5": "ssh {}",
        "10.0.0.5:8080": "{}:8080",
        "10.0.0.0/8": "{}/8",
        "10.120.30.5": "{}",
        "http://203.0.113.77:8080/x": "http://{}:8080/x",
        "client ip 8.8.8.8": "client ip {}",
        "2001:db8::ff00:42:8329": "{}",
        "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:443": "[{}]:443",
        "fe80::1c2:3ff:fe4:5%eth0": "{}%eth0",
        "::ffff:192.0.2.128": "{}",
        "198.51.100.23/24": "{}/24",
    },
    "mac_address": {"00:1A:2B:3C:4D:5E": "{}", "aa-bb-cc-dd-ee-ff": "{}", "0123.4567.89ab": "{}"},
    "jwt": {JWT: "{}", f"x {JWT}, y": "x {}, y"},
    "api_key": {
        "AKIAIOSFODNN7EXAMPLE": "{}",
        "AIza" + "Sy" * 17 + "x": "{}",
        "ghp_" + "aB3" * 12: "{}",
        "glpat-" + "x1Y2" * 5: "{}",
        "xoxb-123456789012-abcdef": "{}",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc": "{}",
        "sk-proj-" + "a1B2" * 8: "{}",
        "hf_" + "aB" * 17: "{}",
        "SG." + "a1" * 11 + "." + "b2" * 21: "{}",
        "npm_" + "a1B" * 12: "{}",
        "AC" + "0a" * 16: "{}",
        "AccountKey=" + "ab12" * 20 + "==;": "AccountKey={};",
    },
    "private_key": {PEM: "{}", f"a\n{PEM}\nb": "a\n{}\nb"},
    "url_credentials": {
        "https://user:pw@host.example.com/x": "https://{}@host.example.com/x",
        "redis://:s3cret@cache": "redis://{}@cache",
    },
    "password": {
        "password=hunter2": "password={}",
        "pwd: s3cr3t!": "pwd: {}",
        "my password is Tr0ub4dor&3": "my password is {}",
        'PASSWORD="correct horse"': 'PASSWORD="{}"',
        "db_password=abcd1234&x=1": "db_password={}&x=1",
        "Passwort: geheim99": "Passwort: {}",
        "mot de passe : azerty12": "mot de passe : {}",
        "contraseña: abcd1234": "contraseña: {}",
        "Authorization: Bearer abcdef1234567890": "Authorization: Bearer {}",
        "?token=abcdef1234567890": "?token={}",
        "пароль: abcd1234": "пароль: {}",
    },
    "crypto_address": {
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa": "{}",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy": "{}",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": "{}",
        "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe": "{}",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": "{}",
    },
    "passport": {
        "passport number C01X00T47": "passport number {}",
        "Passport: 123456789": "Passport: {}",
        "Reisepass Nr. L01X00T47": "Reisepass Nr. {}",
        "паспорт AB1234567": "паспорт {}",
    },
    "identity_card": {"ID card no. AB1234567": "ID card no. {}"},
    "driving_licence": {
        "driving licence MORGA657054SM9IJ": "driving licence {}",
        "driver's license D123-4567-8901": "driver's license {}",
        "Führerschein B072RRE2I55": "Führerschein {}",
    },
    "bank_account": {
        "account number 12345678": "account number {}",
        "Kontonummer: 1234567": "Kontonummer: {}",
        "sort code 12-34-56": "sort code {}",
        "routing number 021000021": "routing number {}",
        "BIC DEUTDEFF500": "BIC {}",
    },
    "date_of_birth": {
        "DOB: 1985-03-12": "DOB: {}",
        "born 12 March 1985": "born {}",
        "born on March 12, 1985.": "born on {}.",
        "geboren am 12.03.1985": "geboren am {}",
        "né le 12 mars 1985": "né le {}",
        "nacido el 12 de marzo de 1985": "nacido el {}",
        "date of birth 03/12/85": "date of birth {}",
    },
    "postal_address": {
        "at 12 Main Street today": "at {} today",
        "221B Baker St": "{}",
        "Hauptstraße 5": "{}",
        "12 rue de la Paix": "{}",
        "Calle Mayor 5": "{}",
        "1600 Pennsylvania Ave, Washington, DC 20500": "{}",
        "P.O. Box 1234": "{}",
        "Lindenallee 7a": "{}",
    },
}

NEGATIVE = [
    # Ids, times and numbers as texts
    "1700000000",
    "1700000000000",
    "1700000000000000",
    "1234567890",
    "0.4111111111111111",
    "-4111111111111111.5",
    "550e8400-e29b-41d4-a716-446655440000",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "d41d8cd98f00b204e9800998ecf8427e",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "2024-05-06T07:08:09.123Z",
    "2024-05-06",
    "12:30:45",
    "06/05/2024",
    "1e-7",
    "3.141592653589793",
    "52.5200,13.4050",
    "-33.8688, 151.2093",
    "0.1 0.2 0.3 0.4",
    "1,234,567.89",
    "101 2023 2003 1037 102",
    "4111111111111112",
    "9999999999999999",
    "0000000000000000",
    "X4111111111111111",
    "4111111111111111a",
    "order_4111111111111111",
    "4111-1111-1111-1111-1",
    # Written as a number of some country is, but as part numbers and versions are too
    "415-555-2671",
    "03-1234-5678",
    "AB123456C",
    "AB-12-34-56-C",
    "2341 2341 2346",
    "046-454-286",
    "12345678Z",
    "12345678-Z",
    "10.0.0.5",
    "10.2.3.25",
    "123456789",
    "219099998",
    "000-12-3456",
    "666-12-3456",
    "219-00-9998",
    "219-09-0000",
    "SKU-123-45-678",
    "12-3456-789",
    "AB-1234-CD",
    "INV-2024-001234",
    # Versions, names of software
    "1.2.3",
    "v1.2.3.4",
    "version 10.20.30.40",
    "2.14.0.1",
    "1.2.3.4",
    "Chrome/120.0.55.71 Safari/537.36",
    "3.11.7",
    "127.0.0.1",
    "0.0.0.0",
    "256.1.1.1",
    "10.1.2",
    "std::vector<a::b>",
    "a::b",
    "::",
    "::1",
    "00:00:00:00:00:00",
    "1.2.3.4.5.6",
    "sha256:abcdef",
    "python3.11",
    "user@host",
    "#ff00aa",
    "0x7fff5fbff8a0",
    "0xdeadbeef",
    # Almost
    "DE89370400440532013001",
    "DE8937040044053201300",
    "XX89370400440532013000",
    "12345678A",
    "X1234567A",
    "QQ123456C",
    "RSSMRA85T10A562T",
    "111.444.777-36",
    "811228-9875",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "eyJhbGci.eyJzdWIi.c2ln",
    "eyJub3QgYSBoZWFkZXIi",
    "AKIA1234",
    "sk-learn",
    "task-12345678901234567890",
    "ghp_short",
    "-----BEGIN CERTIFICATE-----",
    "https://example.org:8080/a@b",
    "http://host/path:x",
    "86095742719",
    "44051401359",
    "111222333",
    "234123412346",
    "+1234567",
    "+0100",
    "415-155-2671",
    # Words without a value
    "password is required",
    "forgot your password?",
    "password: null",
    "the passport photo",
    "phone",
    "card",
    "born in Berlin",
    "born in 1990",
    "account balance",
    "my token count",
    "max_tokens=512",
    "token_type=bearer",
    "secret santa",
    "the address",
    "drive 5 miles",
    "Main Street",
    "the way 2 go",
    "St. 5 of 7",
    "call 911",
    "callback 42",
    "swift response",
    "routing table",
    "I scored 4 of 10 in 2 rounds",
    "5 5 5 5 5 5 5",
    "A1 B2 C3",
    "(1)(2)(3)",
    "1/2/3/4/5",
    "£4,111",
    "x" * 5000,
]


@pytest.mark.parametrize(("entity", "text"), [(entity, text) for entity, texts in POSITIVE.items() for text in texts])
def test_finds(redactor: Redactor, entity: str, text: str) -> None:
    expected = POSITIVE[entity][text].replace("{}", f"<{entity}>")
    assert redactor.redact_text(text) == expected
    assert redactor.redact_text(expected) == expected
    assert redactor.redact({"x": [f"so {text} it"]}) == {"x": [f"so {expected} it"]}


@pytest.mark.parametrize("text", NEGATIVE)
def test_leaves_alone(redactor: Redactor, text: str) -> None:
    assert redactor.redact_text(text) == text


def test_every_entity_has_its_texts() -> None:
    assert POSITIVE.keys() == ENTITIES.keys()


def test_a_word_further_away_than_its_reach_says_nothing(redactor: Redactor) -> None:
    near, far = "ssn " + "x" * 30 + " 219099998", "ssn " + "x " * 40 + "219099998"
    assert redactor.redact_text(near) == "ssn " + "x" * 30 + " <us_ssn>"
    assert redactor.redact_text(far) == far


def test_the_word_of_another_value_does_not_count(redactor: Redactor) -> None:
    text = "SSN 219-09-9998, order 123456789"
    assert redactor.redact_text(text) == "SSN <us_ssn>, order 123456789"


def test_texts_of_a_document_do_not_run_into_each_other(redactor: Redactor) -> None:
    document = ["4111 1111", "1111 1111", "ssn", "219099998", "jo@", "example.org"]
    assert redactor.redact(document) == document


def test_a_name_is_context_for_its_value(redactor: Redactor) -> None:
    assert redactor.redact({"tfn note": "123 456 782", "sum": "123 456 782"}) == {
        "tfn note": "<au_tfn>", "sum": "123 456 782",
    }  # fmt: skip
    assert redactor.redact({"passport details": "C01X00T47 of 2019"}) == {"passport details": "<passport> of 2019"}


def test_a_private_key_that_is_cut_off_is_masked_to_its_end(redactor: Redactor) -> None:
    assert redactor.redact_text("key -----BEGIN PRIVATE KEY-----\nMIIE") == "key <private_key>"


def test_letters_before_a_number_do_not_hide_it(redactor: Redactor) -> None:
    assert redactor.redact_text("so 41 11 call 06 12 34 56 78") == "so 41 11 call <phone>"
    assert redactor.redact_text("NR12 4111 1111 1111 1111") == "NR12 <card>"
