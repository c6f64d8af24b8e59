"""Finds the entities of a policy in the texts of a document: one pass of the gate, then a look at each candidate."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.entities.kinds import Digits, Number, Span, Token, Worded, left_free, right_free
from mlmon_sidecar.redact.gate import DIGITS, compile_gate, gate_pattern, warm
from mlmon_sidecar.redact.leftover import is_within, outside
from mlmon_sidecar.redact.page import Deadline, Page
from mlmon_sidecar.redact.placeholders import blank
from mlmon_sidecar.redact.shadow import SEPARATOR, shadow_of, visible

BUDGET_SECONDS = 0.25  # of the thread's processor time for one document,
BUDGET_SECONDS_PER_CHARACTER = 0.6e-6  # and as much again for each character: several times what ordinary text takes
SECONDS_FOR_FOUND = 60e-6  # for each entity: a body of nothing but personal data is redacted, not dropped
MIN_NUMBER = 7  # characters of the shortest number; only an IPv4 address can be written in less
MAX_GROUPS = 8  # groups of digits in one number

MAX_LONE = 32  # characters of a run that is looked at as one group

_GROUP = re.compile(r"[0-9]+")
_LONE = re.compile(r"([0-9]+)[ ().\-/]*\Z")
_DATE = re.compile(r"(?:19|20)[0-9]{2}([-/.])(?:0[1-9]|1[0-2])\1[0-3][0-9](?![0-9.])")
_RUN = re.compile(DIGITS)
_EXAMPLES = (
    "Call +49 30 1234567 or (415) 555-2671, mail jo.doe@example.org, card 4111 1111 1111 1111, ssn 078-05-1120.",
    '{"when": "2024-05-06T07:08:09.123Z", "id": "550e8400-e29b-41d4-a716-446655440000", "v": "1.20.300"}',
    "iban DE89370400440532013000 at 192.168.10.20, fe80::1:2:3, aa:bb:cc:dd:ee:ff https://u:p@example.org/a?b=1&token=x",
    "The quick brown fox jumps over 13 lazy dogs; passport C01X00T47, born 12 March 1985, 12 Main Street, password: x",
)


class Found(NamedTuple):
    """One entity in one text, at offsets of the text."""

    start: int
    end: int
    name: str


class Scanned(NamedTuple):
    """What some texts hold.

    Attributes:
        found: by the text's index, ascending and apart; texts that hold nothing are not named.
        unsettled: texts that may hold more once what was found is replaced.
    """

    found: dict[int, list[Found]]
    unsettled: set[int]


class Scanner:
    """Looks for the named entities. Keeps no state between documents; safe to share between threads.

    Args:
        names: keys of ``ENTITIES``.
        budget_seconds: for a document without text, > 0; longer ones have more.
        now: seconds that the thread worked.
    """

    def __init__(
        self,
        names: Sequence[str],
        budget_seconds: float = BUDGET_SECONDS,
        now: Callable[[], float] = time.thread_time,
    ) -> None:
        chosen = [entity for name, entities in ENTITIES.items() if name in names for entity in entities]
        self._budget, self._now = budget_seconds, now
        self._numbers: dict[str, list[tuple[Number, bool]]] = defaultdict(list)
        self._tokens: dict[str, list[Token]] = defaultdict(list)
        self._worded: dict[str, list[Worded]] = defaultdict(list)
        self._digits = [entity for entity in chosen if isinstance(entity, Digits) and not entity.last]
        self._digits_last = [entity for entity in chosen if isinstance(entity, Digits) and entity.last]
        for entity in chosen:
            if isinstance(entity, Number):
                for form, enough in entity.forms.items():
                    self._numbers[form].append((entity, enough))
            elif isinstance(entity, Token):
                for character in dict.fromkeys(entity.starts):
                    self._tokens[character].append(entity)
            elif isinstance(entity, Worded):
                for word in entity.words:
                    self._worded[word].append(entity)
        self._forms = _any_of(self._numbers)
        self._prefixes = {form[:at] for form in self._numbers for at in range(1, len(form) + 1)}
        anchors = [anchor for entity in chosen if isinstance(entity, Token) for anchor in entity.anchors]
        self._gate = compile_gate(gate_pattern(anchors, self._worded)) if chosen else None
        self._hint_words = {
            word: [entity for entity in entities if not entity.adjacent] for word, entities in self._worded.items()
        }
        if self._gate is not None:
            warm(self._gate, _EXAMPLES)

    def deadline(self, characters: int) -> Deadline:
        """For a document with so many characters of text."""
        return Deadline(self._now, self._budget + characters * BUDGET_SECONDS_PER_CHARACTER)

    def worded_by(self, hint: str) -> tuple[Worded, ...]:
        """Entities whose word is in a name: a value under ``passport details`` needs no further word."""
        padded = f" {hint} "
        return tuple(
            dict.fromkeys(
                entity for word, found in self._hint_words.items() if f" {word} " in padded for entity in found
            )
        )

    def scan(
        self, texts: Sequence[str], hints: Sequence[str], worded: Sequence[Sequence[Worded]], deadline: Deadline
    ) -> Scanned:
        """What each text holds.

        Args:
            texts: of one document.
            hints: (texts,) words of the name each stands under, or "".
            worded: (texts,) ``worded_by`` of the hint.
            deadline: of the document.

        Raises:
            OutOfTime: the deadline has passed.
            TextTooLong: the standard ``re`` is given no more.
        """
        if self._gate is None or not texts:
            return Scanned({}, set())
        page, places = _page(texts, hints, deadline)
        loose: list[Span] = []
        found = _by_text(page, places, self._spans(page, worded, loose))
        unsettled = {page.index(start) for start, _ in loose}
        unsettled.update(index for index in found if worded[index])
        return Scanned(found, unsettled)

    def _spans(self, page: Page, worded: Sequence[Sequence[Worded]], loose: list[Span]) -> list[Found]:
        """At offsets of the page, ascending, apart from each other.

        ``loose`` is given a place in each text that must be looked at again once what was found is out of the way.
        """
        found: list[Found] = []
        assert self._gate is not None
        shadow, look, grant = page.shadow, page.look, page.grant
        for start, end in self._gate(shadow):
            look()
            first = shadow[start]
            if end - start < MIN_NUMBER and first.isdigit() and _is_short(shadow, start, end):
                continue
            if end <= page.taken or (start == page.taken and first == "@"):
                continue
            for one in self._look(page, start, end, first):
                grant(SECONDS_FOR_FOUND)
                if one.start < page.taken:
                    _add(found, one)
                else:
                    found.append(one)
                page.taken = found[-1].end
                page.last = found[-1].name
            if not found or not is_within(shadow, start, end, found[-1]):
                loose.append((start, end))
        if any(worded):
            extra = [one for index, entities in enumerate(worded) if entities for one in _under(page, index, entities)]
            found = _merged(found, extra) if extra else found
        loose[:] = outside(loose, found, shadow) if found else ()
        return found

    def _look(self, page: Page, start: int, end: int, first: str) -> Sequence[Found]:
        shadow = page.shadow
        for token in self._tokens.get(first, ()):
            span = token.find(page, start, end)
            if span is not None:
                return (Found(*span, token.name),)
        if first.isdigit():
            return self._look_at_digits(page, max(start, page.taken), end)
        if (first == "@" or shadow[end - 1].isdigit()) and (group := _GROUP.search(shadow, start, end)) is not None:
            run = _RUN.match(shadow, group.start())  # letters took the beginning of a run for their own
            return self._look_at_digits(page, run.start(), run.end()) if run is not None else ()
        for entity in self._worded.get(shadow[start:end].lower().lstrip("_"), ()):
            span = entity.find(page, start, end)
            if span is not None and right_of_word(shadow, end):
                return (Found(span[0], span[1], entity.name),)
        return ()

    def _look_at_digits(self, page: Page, start: int, end: int) -> Sequence[Found]:
        shadow = page.shadow
        if end - start <= MAX_LONE and (lone := _LONE.match(shadow, start, end)) is not None:
            return self._look_at_lone(page, start, lone.end(1), end)
        if _is_date(shadow, start, end):
            return ()
        found: list[Found] = []
        run = shadow[start:end]
        for entity in self._digits:
            signs = entity.signs
            if not signs or signs[0] in run or signs[-1] in run:
                found += [Found(*span, entity.name) for span in entity.find(page, start, end)]
        if end - start >= MIN_NUMBER and self._numbers:
            found += self._numbers_within(page, start, end)
        for entity in self._digits_last:
            after = max(one.end for one in found) if found else start
            if end - after >= MIN_NUMBER:
                found += [Found(*span, entity.name) for span in entity.find(page, after, end)]
        return _apart(found) if len(found) > 1 else found

    def _look_at_lone(self, page: Page, start: int, stop: int, end: int) -> Sequence[Found]:
        """The commonest run: one group of digits, from ``start`` to ``stop``, and signs."""
        shadow = page.shadow
        if start and shadow[start - 1].isalnum():
            return ()
        if shadow[end : end + 1].isalnum():  # a letter of a number, or a MAC address
            for entity in self._digits:
                for span in entity.find(page, start, end):
                    return (Found(span[0], span[1], entity.name),)
        if stop - start < MIN_NUMBER:
            return ()
        form = str(stop - start)
        if form in self._numbers and left_free(shadow, start) and right_free(shadow, stop):
            found = self._confirmed(page, form, start, stop)
            if found is not None:
                return (found,)
        for entity in self._digits_last:
            for span in entity.find(page, start, end):
                return (Found(span[0], span[1], entity.name),)
        return ()

    def _numbers_within(self, page: Page, start: int, end: int) -> Iterator[Found]:
        shadow, at = page.shadow, start
        while match := self._forms.search(shadow, at, end):
            page.look()
            begin = match.start()
            found = self._number_at(page, begin, end) if left_free(shadow, begin) else None
            if found is None:
                at = match.end(1)
            else:
                page.grant(SECONDS_FOR_FOUND)
                yield found
                at = found.end

    def _number_at(self, page: Page, start: int, end: int) -> Found | None:
        """The longest number that begins here."""
        shadow, form, best, after = page.shadow, "", None, start
        for group in islice(_GROUP.finditer(shadow, start, end), MAX_GROUPS):
            first, last = group.span()
            form += f"{shadow[after:first]}{last - first}"
            if form not in self._prefixes:
                break
            after = last
            if form in self._numbers and right_free(shadow, after):
                best = self._confirmed(page, form, start, after) or best
        return best

    def _confirmed(self, page: Page, form: str, start: int, end: int) -> Found | None:
        digits = page.shadow[start:end]
        if not digits.isdigit():
            digits = "".join(_GROUP.findall(digits))
        named = self._numbers[form]
        by_form = [entity for entity, enough in named if enough and entity.valid(digits)]
        if by_form and len(named) == 1:
            return Found(start, end, by_form[0].name)
        for entity, enough in named:  # a word nearby tells which of several it is
            if page.speaks_of(entity.words, start, end) or page.continues(entity.name, start):
                if entity in by_form or (not enough and entity.valid(digits)):
                    return Found(start, end, entity.name)
        return Found(start, end, by_form[0].name) if by_form else None


def _by_text(
    page: Page, places: Sequence[Sequence[int] | None] | None, spans: Iterable[Found]
) -> dict[int, list[Found]]:
    """Spans of the page, at offsets of the texts they lie in."""
    found: dict[int, list[Found]] = {}
    starts = [*page.starts, len(page.shadow) + 1]
    begin = stop = 0
    for one in spans:
        if one.start >= stop:
            index = page.index(one.start)
            begin, stop = starts[index], starts[index + 1]
            shown = places[index] if places else None
            within = found[index] = []
        if shown is not None:
            one = Found(shown[one.start - begin], shown[one.end - begin - 1] + 1, one.name)
        elif begin:
            one = Found(one.start - begin, one.end - begin, one.name)
        within.append(one)
    return found


def _page(
    texts: Sequence[str], hints: Sequence[str], deadline: Deadline
) -> tuple[Page, Sequence[Sequence[int] | None] | None]:
    """The page of some texts, and for each text the places of its shadow's characters; None where all are ASCII."""
    joined = SEPARATOR.join(texts)
    if joined.isascii():
        starts = [0, *accumulate(len(text) + 1 for text in texts)]
        return Page(blank(joined), None, starts[:-1], hints, deadline), None
    shadows, places = zip(*map(shadow_of, texts), strict=True)
    starts = [0, *accumulate(len(shadow) + 1 for shadow in shadows)]
    seen = SEPARATOR.join(text if text.isascii() else visible(text) for text in texts)
    return Page(blank(SEPARATOR.join(shadows)), seen, starts[:-1], hints, deadline), places


def _is_short(shadow: str, start: int, end: int) -> bool:
    """Whether so few digits are no number: neither an IPv4 address nor the beginning of a MAC address."""
    if shadow[end : end + 1].isalnum() and (shadow.find("-", start, end) > 0 or shadow[end - 1] == "."):
        return False
    return shadow.count(".", start, end) < 3


def _apart(found: Sequence[Found]) -> list[Found]:
    result: list[Found] = []
    for one in sorted(found):
        if not result or one.start >= result[-1].end:
            result.append(one)
    return result


def _is_date(shadow: str, start: int, end: int) -> bool:
    date = _DATE.match(shadow, start, end)
    return date is not None and end - date.end() < MIN_NUMBER


def _any_of(forms: Iterable[str]) -> re.Pattern[str]:
    """Where one of the forms may begin; group 1 is its first digits. Quicker than to take every group of a run."""
    written = {_GROUP.sub(lambda match: f"[0-9]{{{match[0]}}}", re.escape(form).replace(r"\ ", " ")) for form in forms}
    return re.compile(rf"(?<![0-9])(?=(?:{'|'.join(sorted(written))})(?![0-9]))([0-9]+)")


def right_of_word(shadow: str, end: int) -> bool:
    """Whether the word ends here: ``passports`` names no passport, ``password1=`` does."""
    return not shadow[end : end + 1].isalpha()


def _add(found: list[Found], one: Found) -> None:
    """What overlaps becomes one span with the first name."""
    if found and one.start < found[-1].end:
        found[-1] = Found(found[-1].start, max(found[-1].end, one.end), found[-1].name)
    else:
        found.append(one)


def _under(page: Page, index: int, entities: Sequence[Worded]) -> Iterator[Found]:
    start = page.starts[index]
    for entity in entities:
        span = entity.find(page, start, start)
        if span is not None:
            yield Found(*span, entity.name)


def _merged(found: Sequence[Found], extra: Sequence[Found]) -> list[Found]:
    result: list[Found] = []
    for one in sorted([*found, *extra]):
        _add(result, one)
    return result
