"""Made-up values in the public formats: personal ones, and harmless ones that look alike.

Everything is drawn from a seeded generator, and nothing belongs to anybody: check digits are computed, domains are
reserved or invented, keys have the published prefix and random rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
from collections.abc import Callable, Mapping

Make = Callable[[random.Random], str]

GIVEN = ("Anna", "Jürgen", "Chloé", "Mateusz", "Giulia", "Óscar", "Fatima", "Wei", "Priya", "Sven", "Zoë", "Tomás")
FAMILY = ("Kowalska", "Müller", "Lefèvre", "García", "Rossi", "de Vries", "Okafor", "Chen", "Sharma", "Lindqvist")
WORDS = ("amber", "falcon", "river", "stone", "maple", "cobalt", "harbor", "violet", "cedar", "ember")
DOMAINS = ("example.com", "mail.example.org", "corp.example.net", "posta.example.it", "firma-nord.de", "uni-lyon.fr")


def digits(chance: random.Random, count: int) -> str:
    return "".join(chance.choice(string.digits) for _ in range(count))


def upper(chance: random.Random, count: int) -> str:
    return "".join(chance.choice(string.ascii_uppercase) for _ in range(count))


def token(chance: random.Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(chance.choice(alphabet) for _ in range(count))


# ------------------------------------------------------------ known by their form


def email(chance: random.Random) -> str:
    local = f"{chance.choice(WORDS)}{chance.choice(['.', '_', '-', '+'])}{chance.choice(WORDS)}{digits(chance, 2)}"
    found = f"{local}@{chance.choice(DOMAINS)}"
    return found.upper() if chance.random() < 0.1 else found


def full_width_email(chance: random.Random) -> str:
    return email(chance).replace("@", "＠")


def luhn_digit(body: str) -> str:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for at, character in enumerate(reversed(body)):
        value = int(character) * (2 if at % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def card(chance: random.Random) -> str:
    prefix, length = chance.choice([("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("37", 15), ("6011", 16)])
    body = prefix + digits(chance, length - 1 - len(prefix))
    number = body + luhn_digit(body)
    style = chance.random()
    if style < 0.5:
        return number
    groups = [number[:4], number[4:10], number[10:]] if length == 15 else [number[i : i + 4] for i in range(0, 16, 4)]
    return (" " if style < 0.8 else "-").join(groups)


IBAN_FORMS = {"DE": "18n", "FR": "10n11c2n", "GB": "4a14n", "ES": "20n", "NL": "4a10n", "PL": "24n", "IT": "1a10n12c"}


def iban(chance: random.Random) -> str:
    country, form = chance.choice(sorted(IBAN_FORMS.items()))
    body, count = "", ""
    for character in form:
        if character.isdigit():
            count += character
            continue
        amount = int(count)
        body += {"n": digits(chance, amount), "a": upper(chance, amount)}.get(
            character, token(chance, amount, string.digits + string.ascii_uppercase)
        )
        count = ""
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{body}"
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4)) if chance.random() < 0.4 else whole


def ipv4(chance: random.Random) -> str:
    return ".".join(
        [chance.choice(["10", "192", "172", "84", "203"]), *(str(chance.randrange(11, 250)) for _ in range(3))]
    )


def ipv6(chance: random.Random) -> str:
    groups = [f"{chance.randrange(0x1000, 0xFFFF):x}" for _ in range(6)]
    return f"2001:db8:{':'.join(groups)}" if chance.random() < 0.5 else f"2001:db8::{groups[0]}:{groups[1]}"


def mac(chance: random.Random) -> str:
    return chance.choice([":", "-"]).join(f"{chance.randrange(256):02x}" for _ in range(6))


def jwt(chance: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")

    claims = {"sub": digits(chance, 10), "exp": 1_700_000_000 + chance.randrange(10**7)}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{token(chance, 43)}"


def cloud_key(chance: random.Random) -> str:
    alphabet = string.ascii_uppercase + string.digits
    return chance.choice(
        [
            "AKIA" + token(chance, 16, string.ascii_uppercase + "234567"),
            "ghp_" + token(chance, 36),
            f"xoxb-{digits(chance, 12)}-{digits(chance, 12)}-{token(chance, 24)}",
            "sk_live_" + token(chance, 24),
            "AIza" + token(chance, 35),
            "glpat-" + token(chance, 20),
            f"SG.{token(chance, 22)}.{token(chance, 43)}",
            "AKIA" + token(chance, 16, alphabet.replace("0", "").replace("1", "").replace("8", "").replace("9", "")),
        ]
    )


def private_key(chance: random.Random) -> str:
    kind = chance.choice(["RSA ", "EC ", ""])
    lines = "\n".join(token(chance, 64, string.ascii_letters + string.digits + "+/") for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def url_password(chance: random.Random) -> str:
    """The credentials alone; the URL around them is the template's."""
    return f"{chance.choice(WORDS)}{digits(chance, 2)}:{token(chance, 12)}"


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def bitcoin(chance: random.Random) -> str:
    payload = bytes([0]) + chance.randbytes(20)
    whole = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(whole, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(whole) - len(whole.lstrip(b"\0"))) + text


def ethereum(chance: random.Random) -> str:
    return "0x" + chance.randbytes(20).hex()


def phone(chance: random.Random) -> str:
    return chance.choice(
        [
            f"+49 30 {digits(chance, 3)}55{digits(chance, 3)}",
            f"+44 20 7{digits(chance, 3)} {digits(chance, 4)}",
            f"+1 (415) 555-{digits(chance, 4)}",
            f"+33 6 {digits(chance, 2)} {digits(chance, 2)} {digits(chance, 2)} {digits(chance, 2)}",
            f"+48{chance.randrange(5, 9)}{digits(chance, 8)}",
            f"+91 98{digits(chance, 8)}",
        ]
    )


def cpf(chance: random.Random) -> str:
    """Brazil, Receita Federal: two digits modulo 11."""
    body = digits(chance, 9)
    for _ in range(2):
        rest = sum(int(c) * w for c, w in zip(body, range(len(body) + 1, 1, -1), strict=True)) * 10 % 11
        body += str(rest % 10)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


def dni(chance: random.Random) -> str:
    """Spain: the number modulo 23 picks the letter."""
    number = chance.randrange(10**7, 10**8)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


FORM: Mapping[str, Make] = {
    "email": email, "email_full_width": full_width_email, "card": card, "iban": iban, "ipv4": ipv4, "ipv6": ipv6,
    "mac": mac, "jwt": jwt, "cloud_key": cloud_key, "private_key": private_key, "url_password": url_password,
    "bitcoin": bitcoin, "ethereum": ethereum, "phone": phone, "cpf": cpf,
}  # fmt: skip

# ------------------------------------------------------------ known by key or context


def name(chance: random.Random) -> str:
    return f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}"


def national_phone(chance: random.Random) -> str:
    return chance.choice([
        f"030 {digits(chance, 3)}55{digits(chance, 2)}", f"0171 {chance.randrange(2, 9)}{digits(chance, 6)}",
        f"(415) 555-{digits(chance, 4)}", f"06 {digits(chance, 2)} {digits(chance, 2)} 55 {digits(chance, 2)}",
    ])  # fmt: skip


def ssn(chance: random.Random) -> str:
    parts = (f"{chance.randrange(100, 660):03d}", f"{chance.randrange(1, 99):02d}", f"{chance.randrange(1, 9999):04d}")
    return ("-" if chance.random() < 0.6 else "").join(p.replace("666", "665") for p in parts)


def birth(chance: random.Random) -> str:
    year, month, day = chance.randrange(1940, 2005), chance.randrange(1, 13), chance.randrange(1, 29)
    return chance.choice(
        [f"{year}-{month:02d}-{day:02d}", f"{day:02d}.{month:02d}.{year}", f"{month:02d}/{day:02d}/{year}"]
    )


def passport(chance: random.Random) -> str:
    return chance.choice([f"{upper(chance, 1)}{digits(chance, 8)}", digits(chance, 9), f"C{digits(chance, 8)}"])


def licence(chance: random.Random) -> str:
    return chance.choice([f"{upper(chance, 1)}{digits(chance, 7)}", f"{upper(chance, 2)}{digits(chance, 8)}"])


def account(chance: random.Random) -> str:
    return digits(chance, chance.choice([8, 10, 12]))


def street(chance: random.Random) -> str:
    return chance.choice([
        f"{chance.choice(WORDS).title()} Street {chance.randrange(1, 200)}",
        f"{chance.randrange(1, 900)} {chance.choice(WORDS).title()} Avenue",
        f"{chance.choice(WORDS).title()}straße {chance.randrange(1, 99)}",
        f"{chance.randrange(1, 90)} rue de la {chance.choice(WORDS).title()}",
    ])  # fmt: skip


def password(chance: random.Random) -> str:
    return f"{chance.choice(WORDS)}{chance.choice('!?#$')}{digits(chance, 3)}{upper(chance, 2)}"


# ------------------------------------------------------------ harmless, and alike


def long_id(chance: random.Random) -> str:
    """16 digits of an issuer's prefix that fail the check, or of no issuer."""
    body = ("9" if chance.random() < 0.5 else "4") + digits(chance, 14)
    return body + str((int(luhn_digit(body)) + chance.randrange(1, 10)) % 10)


def uuid(chance: random.Random) -> str:
    raw = chance.randbytes(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"


def isbn(chance: random.Random) -> str:
    body = "978" + digits(chance, 9)
    return body + str(-sum(int(c) * (1, 3)[at % 2] for at, c in enumerate(body)) % 10)


HARMLESS: Mapping[str, Make] = {
    "uuid": uuid,
    "long_id": long_id,
    "isbn": isbn,
    "sha1": lambda chance: chance.randbytes(20).hex(),
    "sha256": lambda chance: chance.randbytes(32).hex(),
    "sku": lambda chance: f"{upper(chance, 3)}-{digits(chance, 4)}-{upper(chance, 2)}",
    "order": lambda chance: f"ORD-2026-{digits(chance, 6)}",
    "version": lambda chance: f"{chance.randrange(1, 30)}.{chance.randrange(40)}.{chance.randrange(90)}",
    "package": lambda chance: f"{chance.choice(WORDS)}@{chance.randrange(9)}.{chance.randrange(20)}.0",
    "build": lambda chance: f"{chance.choice(WORDS)}-v{chance.randrange(9)}.{digits(chance, 4)}",
    "time": lambda chance: (
        f"2026-0{chance.randrange(1, 10)}-{chance.randrange(10, 28)}T{chance.randrange(10, 24)}:15:00Z"
    ),
    "epoch": lambda chance: str(1_700_000_000 + chance.randrange(10**8)),
    "epoch_ms": lambda chance: str(1_700_000_000_000 + chance.randrange(10**11)),
    "decimal": lambda chance: f"{chance.random():.17f}",
    "tracking": lambda chance: f"1Z{token(chance, 3, string.ascii_uppercase)}{digits(chance, 13)}",
    "picture": lambda chance: f"icon_{digits(chance, 2)}@2x.png",
    "category": lambda chance: chance.choice(["self_employed", "A-12", "debt consolidation", "600-700", "N/A", "EUR"]),
    "range": lambda chance: f"{chance.randrange(1, 50)}0000-{chance.randrange(51, 99)}0000",
}
