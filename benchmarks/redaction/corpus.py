"""Request bodies of many shapes and languages with personal values planted, and harmless ones beside them.

A body is written with marks (``Planted``, ``Harmless``, ``Text``) in place of values; ``document`` takes the marks out
and remembers where each was. Templates, key names and sentences are dealt alternately to two splits: ``dev`` may be
looked into, ``held`` is only ever counted.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.redaction import values as v

SPLITS = ("dev", "held")
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Planted:
    """A personal value. ``how``: what decides that it is one ("form", "key" or "context")."""

    value: Any
    entity: str
    how: str


@dataclass(frozen=True)
class Harmless:
    value: Any
    kind: str


@dataclass(frozen=True)
class Text:
    """A sentence with marked parts in place of ``{}``."""

    template: str
    parts: tuple[Planted | Harmless, ...]


@dataclass(frozen=True)
class Embedded:
    """A document as JSON text inside a string."""

    body: Any


@dataclass(frozen=True)
class Place:
    path: Path
    mark: Planted | Harmless
    inside: bool  # a part of the text there, not all of the value
    within: Path | None = None  # of a JSON text there: the path in it


@dataclass(frozen=True)
class Document:
    shape: str
    body: Any
    places: tuple[Place, ...]

    @property
    def encoded(self) -> bytes:
        return json.dumps(self.body, ensure_ascii=False).encode()


def document(shape: str, marked: Any) -> Document:
    places: list[Place] = []
    return Document(shape, _plain(marked, (), places), tuple(places))


def _plain(marked: Any, path: Path, places: list[Place]) -> Any:
    if isinstance(marked, Planted | Harmless):
        places.append(Place(path, marked, inside=False))
        return marked.value
    if isinstance(marked, Text):
        places.extend(Place(path, part, inside=True) for part in marked.parts)
        return marked.template.format(*(part.value for part in marked.parts))
    if isinstance(marked, Embedded):
        inner: list[Place] = []
        text = json.dumps(_plain(marked.body, (), inner), ensure_ascii=False)
        places.extend(Place(path, place.mark, place.inside, place.path) for place in inner)
        return text
    if isinstance(marked, dict):
        return {key: _plain(inner, (*path, key), places) for key, inner in marked.items()}
    if isinstance(marked, list):
        return [_plain(inner, (*path, at), places) for at, inner in enumerate(marked)]
    return marked


# ------------------------------------------------------------ what is planted

KEYS: Sequence[tuple[str, str, v.Make]] = (  # key name, entity, value
    ("first_name", "name", lambda c: c.choice(v.GIVEN)), ("lastName", "name", lambda c: c.choice(v.FAMILY)),
    ("fullName", "name", v.name), ("customer-name", "name", v.name),
    ("surname", "name", lambda c: c.choice(v.FAMILY)), ("Given Name", "name", lambda c: c.choice(v.GIVEN)),
    ("phone", "phone", v.national_phone), ("phoneNumber", "phone", v.national_phone),
    ("mobile_phone", "phone", v.national_phone), ("telephone", "phone", v.national_phone),
    ("ssn", "ssn", v.ssn), ("social_security_number", "ssn", v.ssn),
    ("date_of_birth", "birth", v.birth), ("dateOfBirth", "birth", v.birth), ("dob", "birth", v.birth),
    ("birthDate", "birth", v.birth),
    ("passport_number", "passport", v.passport), ("passportNo", "passport", v.passport),
    ("driver_license", "licence", v.licence), ("drivingLicence", "licence", v.licence),
    ("account_number", "account", v.account), ("bankAccount", "account", v.account),
    ("street_address", "address", v.street), ("homeAddress", "address", v.street),
    ("billing-address", "address", v.street), ("address_line_1", "address", v.street),
    ("password", "password", v.password), ("userPassword", "password", v.password),
    ("api_key", "secret", lambda c: v.token(c, 28)), ("clientSecret", "secret", lambda c: v.token(c, 28)),
    ("access_token", "secret", lambda c: v.token(c, 28)), ("X-Api-Key", "secret", lambda c: v.token(c, 28)),
    ("card_number", "card", v.card), ("cvv", "card", lambda c: v.digits(c, 3)),
    ("email", "email", v.email), ("contactEmail", "email", v.email),
    ("national_id", "national_id", v.account), ("tax_id", "national_id", v.account),
)  # fmt: skip

CONTEXT: Sequence[tuple[str, str, v.Make]] = (  # sentence, entity, value
    ("My social security number is {}, please check it.", "ssn", v.ssn),
    ("SSN: {} was entered twice.", "ssn", v.ssn),
    ("Call me on my mobile {} after six.", "phone", v.national_phone),
    ("You can reach me by phone at {} or not at all.", "phone", v.national_phone),
    ("Meine Telefonnummer ist {}, bitte zurückrufen.", "phone", v.national_phone),
    ("Rufen Sie mich bitte an, Tel. {}.", "phone", v.national_phone),
    ("Mon numéro de téléphone est le {}.", "phone", v.national_phone),
    ("Mi teléfono es {}, llámame.", "phone", v.national_phone),
    ("I was born on {} in a small town.", "birth", v.birth),
    ("Date of birth: {}, as in the form.", "birth", v.birth),
    ("Geboren am {} in Köln.", "birth", v.birth),
    ("Né le {} à Lyon.", "birth", v.birth),
    ("Fecha de nacimiento: {}.", "birth", v.birth),
    ("My passport number is {} and it is still valid.", "passport", v.passport),
    ("Passport no. {} expires soon.", "passport", v.passport),
    ("Reisepass Nr. {} liegt vor.", "passport", v.passport),
    ("Numéro de passeport : {}", "passport", v.passport),
    ("driver's license {} was scanned", "licence", v.licence),
    ("Driving licence number {} was renewed.", "licence", v.licence),
    ("Führerschein Nr. {} ist gültig.", "licence", v.licence),
    ("Please pay to bank account {} today.", "account", v.account),
    ("Account number: {}, sort code follows.", "account", v.account),
    ("Kontonummer {} bei der alten Bank.", "account", v.account),
    ("the password is {} and please do not share it", "password", v.password),
    ("login ok with password: {} on the second try", "password", v.password),
    ("Mein Passwort lautet {} seit gestern.", "password", v.password),
)

FORM_SENTENCES = (
    "Please write to {} before noon.", "Contact: {}", "Kundin schrieb von {} aus.",
    "Veuillez répondre à {} rapidement.",
    "seen in the log: {} (twice)", "The value {} was rejected by the gateway.", "Wysłano na {} wczoraj.",
    "ok,{},done", "Responder a {} por favor.", "Found '{}' in the attachment.",
)  # fmt: skip

HARMLESS_SENTENCES = (
    "Parcel {} left the warehouse.", "Commit {} broke the build.", "Artikel {} ist nicht lieferbar.",
    "The score was {} this time.", "Ticket {} is closed since Monday.", "La commande {} est en retard.",
    "Upgrade to {} before the freeze.", "model {} answered in 12 ms", "See row {} of the table.", "Lote {} revisado.",
)  # fmt: skip

HARMLESS_KEYS: Sequence[tuple[str, Callable[[random.Random], Any]]] = (  # a personal word in a name that is none
    ("max_tokens", lambda c: c.randrange(16, 4096)), ("token_count", lambda c: c.randrange(900)),
    ("email_opt_in", lambda c: c.random() < 0.5), ("phone_type", lambda c: c.choice(["mobile", "fixed"])),
    ("address_age_months", lambda c: c.randrange(400)), ("ip_risk_score", lambda c: c.random()),
    ("name_length", lambda c: c.randrange(3, 40)), ("session_count", lambda c: c.randrange(900)),
    ("card_type", lambda c: c.choice(["visa", "amex"])), ("days_since_password_change", lambda c: c.randrange(900)),
    ("passport_required", lambda c: c.random() < 0.5), ("is_mobile", lambda c: c.randrange(2)),
    ("tokens_per_second", lambda c: c.random() * 90), ("account_age_days", lambda c: c.randrange(4000)),
    ("emails_sent_7d", lambda c: c.randrange(50)), ("secretary_count", lambda c: c.randrange(9)),
    ("company_size", lambda c: c.choice(["1-10", "11-50"])), ("model_name", lambda c: c.choice(["fraud", "churn-v2"])),
    ("pin_attempts", lambda c: c.randrange(4)), ("ssn_verified", lambda c: c.random() < 0.5),
)  # fmt: skip

NUMBERS: Sequence[Callable[[random.Random], Any]] = (
    lambda c: c.random(), lambda c: c.gauss(0, 1e6), lambda c: c.randrange(120), lambda c: c.uniform(-180, 180),
    lambda c: 1_700_000_000 + c.randrange(10**8), lambda c: 1_700_000_000_000 + c.randrange(10**11),
    lambda c: int(v.card(c).replace(" ", "").replace("-", "")), lambda c: c.randrange(10**8, 10**9),
    lambda c: c.randrange(10**15, 10**16), lambda c: round(c.uniform(1, 9999), 2),
)  # fmt: skip


class Dealer:
    """Draws marks of one split."""

    def __init__(self, split: str, seed: int) -> None:
        self.chance = random.Random(f"{split}-{seed}")
        self._at = SPLITS.index(split)

    def pick(self, items: Sequence[Any]) -> Any:
        return self.chance.choice(items[self._at :: len(SPLITS)])

    def form(self) -> Planted:
        entity = self.chance.choice(sorted(v.FORM))
        return Planted(v.FORM[entity](self.chance), entity, "form")

    def form_text(self) -> Text:
        mark = self.form()
        if mark.entity == "url_password":
            return Text("cloning https://{}@git.example.com/repo.git failed", (mark,))
        return Text(self.pick(FORM_SENTENCES), (mark,))

    def context_text(self) -> Text:
        template, entity, make = self.pick(CONTEXT)
        return Text(template, (Planted(make(self.chance), entity, "context"),))

    def keyed(self) -> tuple[str, Planted]:
        key, entity, make = self.pick(KEYS)
        value: Any = make(self.chance)
        if value.isdigit() and not value.startswith("0") and self.chance.random() < 0.3:
            value = int(value)
        return key, Planted(value, entity, "key")

    def harmless(self) -> Harmless:
        kind = self.chance.choice(sorted(v.HARMLESS))
        return Harmless(v.HARMLESS[kind](self.chance), kind)

    def harmless_text(self) -> Text:
        return Text(self.pick(HARMLESS_SENTENCES), (self.harmless(),))

    def harmless_keyed(self) -> tuple[str, Harmless]:
        key, make = self.pick(HARMLESS_KEYS)
        return key, Harmless(make(self.chance), f"key:{key}")

    def number(self) -> Harmless:
        return Harmless(self.chance.choice(NUMBERS)(self.chance), "number")

    def text(self) -> Text:
        return self.chance.choice([self.form_text, self.context_text, self.harmless_text])()


# ------------------------------------------------------------ shapes of bodies


def tabular(deal: Dealer) -> Any:
    row: dict[str, Any] = {f"x{i}": deal.number() for i in range(6)}
    row |= {f"c{i}": deal.harmless() for i in range(4)}
    row |= dict([deal.keyed(), deal.keyed(), deal.harmless_keyed(), deal.harmless_keyed()])
    row["remark"] = deal.text()
    return row


def nested(deal: Dealer) -> Any:
    return {
        "order": {"ref": deal.harmless(), "total": deal.number(), "customer": dict([deal.keyed(), deal.keyed()])},
        "items": [{"sku": deal.harmless(), "price": deal.number(), "note": deal.harmless_text()} for _ in range(3)],
        "history": [deal.text() for _ in range(2)],
        "meta": dict([deal.harmless_keyed()]) | {"trace": deal.harmless()},
    }


def chat(deal: Dealer) -> Any:
    return {
        "model": "assistant-1",
        "temperature": 0.2,
        **dict([deal.harmless_keyed()]),
        "messages": [
            {"role": "system", "content": "You answer questions about orders."},
            {"role": "user", "content": deal.form_text()},
            {"role": "assistant", "content": deal.harmless_text()},
            {"role": "user", "content": deal.context_text()},
        ],
    }


def frame(deal: Dealer) -> Any:
    """MLflow's ``dataframe_split``: names and values apart."""
    keys = dict([deal.keyed(), deal.harmless_keyed()])
    columns = [*keys, "amount", "code"]
    data = [[*(_again(deal, key) for key in keys), deal.number(), deal.harmless()] for _ in range(3)]
    return {"dataframe_split": {"columns": columns, "data": data}}


def _again(deal: Dealer, key: str) -> Planted | Harmless:
    for name, entity, make in KEYS:
        if name == key:
            return Planted(make(deal.chance), entity, "key")
    return Harmless(dict(HARMLESS_KEYS)[key](deal.chance), f"key:{key}")


def tensors(deal: Dealer) -> Any:
    """Open Inference Protocol V2."""
    key, first = deal.keyed()
    return {
        "id": deal.harmless(),
        "inputs": [
            {"name": key, "shape": [2, 1], "datatype": "BYTES", "data": [first, _again(deal, key)]},
            {"name": "amount", "shape": [2, 1], "datatype": "FP64", "data": [deal.number(), deal.number()]},
            {"name": "code", "shape": [2, 1], "datatype": "BYTES", "data": [deal.harmless(), deal.harmless()]},
        ],
    }


def embedding(deal: Dealer) -> Any:
    return {
        "input": deal.harmless_text(),
        "vector": [Harmless(deal.chance.uniform(-1, 1), "number") for _ in range(64)],
        "location": [
            Harmless(deal.chance.uniform(-90, 90), "number"),
            Harmless(deal.chance.uniform(-180, 180), "number"),
        ],
        "query": deal.form_text(),
    }


def wrapped(deal: Dealer) -> Any:
    """JSON inside a string, as queues and logs deliver it."""
    inner = dict([deal.keyed(), deal.harmless_keyed()]) | {"ref": deal.harmless(), "amount": deal.number()}
    return {"event": "scored", "payload": Embedded(inner), "score": deal.number()}


SHAPES: Sequence[Callable[[Dealer], Any]] = (tabular, nested, chat, frame, tensors, embedding, wrapped)


def documents(split: str, seed: int, count: int) -> Iterator[Document]:
    """``count`` documents of ``split``, shapes in turn."""
    deal = Dealer(split, seed)
    for at in range(count):
        make = SHAPES[at % len(SHAPES)]
        yield document(make.__name__, make(deal))
