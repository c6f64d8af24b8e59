"""Finds the entities of a policy in the texts of a document: one pass of the gate, then a look at each candidate."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.entities.kinds import Digits, Number, Token, Worded, left_free, right_free
from mlmon_sidecar.redact.gate import DIGITS, compile_gate, gate_pattern, warm
from mlmon_sidecar.redact.page import Deadline, Page
from mlmon_sidecar.redact.placeholders import blank
from mlmon_sidecar.redact.shadow import SEPARATOR, shadow_of, visible

BUDGET_SECONDS = 0.25  # of the thread's processor time for one document,
BUDGET_SECONDS_PER_CHARACTER = 0.6e-6  # and as much again for each character: several times what ordinary text takes
MIN_NUMBER = 7  # characters of the shortest number; only an IPv4 address can be written in less
MAX_GROUPS = 8  # groups of digits in one number

_GROUP = re.compile(r"[0-9]+")
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
    ) -> dict[int, list[Found]]:
        """What each text holds, by its index; texts that hold nothing are not named.

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
            return {}
        shadows = [shadow_of(text) for text in texts]
        starts = [0, *accumulate(len(shadow) + 1 for shadow, _ in shadows)]
        joined = blank(SEPARATOR.join(shadow for shadow, _ in shadows))
        plain = all(places is None and text.isascii() for text, (_, places) in zip(texts, shadows, strict=True))
        seen = None if plain else SEPARATOR.join(text if text.isascii() else visible(text) for text in texts)
        page = Page(joined, seen, starts[:-1], hints, deadline)
        found: dict[int, list[Found]] = {}
        for start, end, name in self._spans(page, worded):
            index = page.index(start)
            places = shadows[index][1]
            first, last = start - starts[index], end - starts[index]
            if places is not None:
                first, last = places[first], places[last - 1] + 1
            found.setdefault(index, []).append(Found(first, last, name))
        return found

    def _spans(self, page: Page, worded: Sequence[Sequence[Worded]]) -> list[Found]:
        """At offsets of the page, ascending, apart from each other."""
        found: list[Found] = []
        assert self._gate is not None
        shadow = page.shadow
        for start, end in self._gate(shadow):
            page.look()
            if end - start < MIN_NUMBER and shadow[start].isdigit() and shadow.count(".", start, end) < 3:
                continue
            if end <= page.taken or (start == page.taken and shadow[start] == "@"):
                continue
            for one in self._look(page, start, end):
                _add(found, one)
                page.taken = found[-1].end
                page.last = found[-1].name
        extra = [one for index, entities in enumerate(worded) if entities for one in _under(page, index, entities)]
        return _merged(found, extra) if extra else found

    def _look(self, page: Page, start: int, end: int) -> Iterator[Found]:
        shadow = page.shadow
        first = shadow[start]
        for token in self._tokens.get(first, ()):
            span = token.find(page, start, end)
            if span is not None:
                yield Found(*span, token.name)
                return
        if first.isdigit():
            yield from self._look_at_digits(page, max(start, page.taken), end)
            return
        if shadow[end - 1].isdigit() and (group := _GROUP.search(shadow, start, end)) is not None:
            run = _RUN.match(shadow, group.start())  # letters took the beginning of a run for their own
            if run is not None:
                yield from self._look_at_digits(page, run.start(), run.end())
            return
        for entity in self._worded.get(shadow[start:end].lower().lstrip("_"), ()):
            span = entity.find(page, start, end)
            if span is not None and right_of_word(shadow, end):
                yield Found(*span, entity.name)
                return

    def _look_at_digits(self, page: Page, start: int, end: int) -> Iterator[Found]:
        if _is_no_number(page.shadow, start, end):
            return
        found: list[Found] = []
        for entity in self._digits:
            found += [Found(*span, entity.name) for span in entity.find(page, start, end)]
        if self._numbers:
            found += self._numbers_within(page, start, end)
        for entity in self._digits_last:
            after = max((one.end for one in found), default=start)
            found += [Found(*span, entity.name) for span in entity.find(page, after, end)]
        taken = -1
        for one in sorted(found):
            if one.start >= taken:
                yield one
                taken = one.end

    def _numbers_within(self, page: Page, start: int, end: int) -> Iterator[Found]:
        shadow, at = page.shadow, start
        while match := self._forms.search(shadow, at, end):
            page.look()
            begin = match.start()
            found = self._number_at(page, begin, end) if left_free(shadow, begin) else None
            if found is None:
                at = match.end(1)
            else:
                yield found
                at = found.end

    def _number_at(self, page: Page, start: int, end: int) -> Found | None:
        """The longest number that begins here."""
        shadow, form, best, after = page.shadow, "", None, start
        for group in islice(_GROUP.finditer(shadow, start, end), MAX_GROUPS):
            form += f"{shadow[after : group.start()]}{group.end() - group.start()}"
            if form not in self._prefixes:
                break
            after = group.end()
            if form in self._numbers and right_free(shadow, after):
                best = self._confirmed(page, form, start, after) or best
        return best

    def _confirmed(self, page: Page, form: str, start: int, end: int) -> Found | None:
        digits = "".join(filter(str.isdigit, page.shadow[start:end]))
        possible = [(entity, enough) for entity, enough in self._numbers[form] if entity.valid(digits)]
        for entity, _ in possible:  # a word nearby tells which of several it is
            if page.speaks_of(entity.words, start, end) or page.continues(entity.name, start):
                return Found(start, end, entity.name)
        return next((Found(start, end, entity.name) for entity, enough in possible if enough), None)


def _is_no_number(shadow: str, start: int, end: int) -> bool:
    """What most runs are: a date, or digits that go on from letters."""
    date = _DATE.match(shadow, start, end)
    if date is not None:
        return end - date.end() < MIN_NUMBER
    group = _GROUP.match(shadow, start, end)
    return group is not None and group.end() == end and start > 0 and shadow[start - 1].isalnum()


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
