"""The life of an incident, and that a book made anew from what was stored goes on the same."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.alerts.incidents import OPENED, RAISED, RESOLVED, WAITING, WIDEN_MINUTES, WIDENED, IncidentBook
from mlmon_sidecar.records import Finding, Incident, Layer, Tier


def finding(minute: int, *features: str, tier: Tier = Tier.P3, evidence: float = 1.0, **more: Any) -> Finding:
    fields = {"rule": "feature_drift", "layer": Layer.DATA, "summary": "+".join(features) + f"@{minute}", **more}
    return Finding(tier=tier, minute=minute, evidence=evidence, features=features, **fields)


def test_a_finding_opens_an_incident_with_all_it_says() -> None:
    book = IncidentBook("m")
    found = finding(7, "a", "b", evidence=2.5, value=0.3, threshold=0.1, rows=90, details={"x": 1})
    move = book.find(found)
    assert move is not None and (move.kind, move.minute) == (OPENED, 7)
    assert move.incident == Incident(
        "m:feature_drift:7", "m", "feature_drift", Layer.DATA, Tier.P3, 7, None, "a+b@7", 2.5, ("a", "b"), False,
        {"x": 1, "value": 0.3, "threshold": 0.1, "rows": 90, WAITING: ["a", "b"]},
    )  # fmt: skip
    assert book.open == [move.incident]
    assert book.find(finding(8, "a")) is None  # it says so already


def test_other_names_join_within_a_day_and_open_another_incident_after_it() -> None:
    book = IncidentBook("m")
    book.find(finding(0, "a", details={"features": {"a": 1}}))
    move = book.find(finding(WIDEN_MINUTES, "b", evidence=3.0, details={"features": {"b": 2}}))
    assert move is not None and move.kind == WIDENED
    assert move.incident.features == ("a", "b") and move.incident.details[WAITING] == ["a", "b"]
    assert move.incident.summary == f"a@0; b@{WIDEN_MINUTES}" and move.incident.evidence == 3.0
    assert move.incident.details["features"] == {"a": 1, "b": 2}
    late = book.find(finding(WIDEN_MINUTES + 1, "c"))
    assert late is not None and (late.kind, late.incident.features) == (OPENED, ("c",))
    assert book.find(finding(WIDEN_MINUTES + 2, "b")) is None  # a name stays with its incident
    assert [i.opened_minute for i in book.open] == [0, WIDEN_MINUTES + 1]
    recent = book.recent("feature_drift", WIDEN_MINUTES + 3)
    assert recent is not None and recent.opened_minute == WIDEN_MINUTES + 1
    assert book.recent("null_rate", 0) is None


def test_rules_have_incidents_of_their_own() -> None:
    book = IncidentBook("m")
    book.find(finding(0, "a"))
    move = book.find(finding(0, "a", rule="null_rate"))
    assert move is not None and move.incident.key == "m:null_rate:0"
    assert book.end("null_rate", ["a"], 1)[0].incident.rule == "null_rate"
    assert [i.rule for i in book.open] == ["feature_drift"]


def test_a_more_urgent_finding_raises_and_a_lesser_one_never_lowers() -> None:
    book = IncidentBook("m")
    book.find(finding(0, "a", evidence=2.0))
    move = book.find(finding(1, "a", tier=Tier.P1, evidence=1.5))
    assert move is not None and (move.kind, move.incident.tier, move.incident.evidence) == (RAISED, Tier.P1, 2.0)
    assert move.incident.summary == "a@1"
    assert book.find(finding(2, "a", tier=Tier.P2)) is None
    assert book.find(finding(3, "b", tier=Tier.P3)).incident.tier is Tier.P1  # type: ignore[union-attr]  # widened


def test_names_end_one_by_one_and_the_last_resolves() -> None:
    book = IncidentBook("m")
    book.find(finding(5, "a", "b"))
    assert book.end("feature_drift", [], 6) == book.end("feature_drift", ["zzz"], 6) == []
    (first,) = book.end("feature_drift", ["a"], 6)
    assert (first.kind, first.incident.resolved_minute, first.incident.details[WAITING]) == ("", None, ["b"])
    assert book.end("feature_drift", ["a"], 7) == []
    (last,) = book.end("feature_drift", ["a", "b"], 8)
    assert (last.kind, last.minute, last.incident.resolved_minute) == (RESOLVED, 8, 8)
    assert last.incident.features == ("a", "b") and book.open == []
    again = book.find(finding(9, "a"))
    assert again is not None and (again.kind, again.incident.key) == (OPENED, "m:feature_drift:9")


def test_a_name_that_came_back_is_waited_for_again() -> None:
    book = IncidentBook("m")
    book.find(finding(5, "a", "b"))
    book.end("feature_drift", ["a"], 6)
    move = book.find(finding(7, "a"))
    assert move is not None and (move.kind, move.incident.details[WAITING]) == ("", ["b", "a"])
    assert move.incident.features == ("a", "b")
    assert book.end("feature_drift", ["b"], 8)[0].kind == ""


def test_an_end_before_the_opening_does_not_concern_it() -> None:
    book = IncidentBook("m")
    book.find(finding(10, "a"))
    assert book.end("feature_drift", ["a"], 9) == []
    assert book.end("feature_drift", ["a"], 10)[0].kind == RESOLVED


def test_a_provisional_incident_is_told_once_and_confirmed_silently() -> None:
    book = IncidentBook("m")
    early = book.find(finding(10, "a", tier=Tier.P1), provisional=True)
    assert early is not None and (early.kind, early.incident.provisional) == (OPENED, True)
    assert book.find(finding(10, "a", tier=Tier.P1), provisional=True) is None
    assert book.find(finding(11, "b", tier=Tier.P1), provisional=True) is None  # the seal will widen it
    sealed = book.find(finding(10, "a", tier=Tier.P1))
    assert sealed is not None and (sealed.kind, sealed.incident.provisional) == ("", False)
    assert sealed.incident.key == early.incident.key
    assert book.find(finding(10, "a", tier=Tier.P1)) is None


NAMES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)
STEPS = st.lists(
    st.tuples(st.sampled_from(["find", "early", "end"]), st.integers(0, 900), NAMES, st.sampled_from(list(Tier)))
)


@given(STEPS)
def test_a_book_made_anew_from_what_was_written_goes_on_the_same(
    steps: list[tuple[str, int, list[str], Tier]],
) -> None:
    """A store keeps the last of each key; the open ones are handed to a new book before every step."""
    stored: dict[str, Incident] = {}
    book, minute = IncidentBook("m"), 0
    for kind, later, names, tier in steps:
        minute += later
        anew = IncidentBook("m", stored.values())
        assert anew.open == book.open
        if kind == "end":
            moves = book.end("feature_drift", names, minute)
            assert anew.end("feature_drift", names, minute) == moves
        else:
            found = finding(minute, *names, tier=tier)
            move = book.find(found, provisional=kind == "early")
            assert anew.find(found, provisional=kind == "early") == move
            moves = [move] if move else []
        for move in moves:
            assert (move.kind == RESOLVED) == (move.incident.resolved_minute is not None)
            stored[move.incident.key] = move.incident
    assert {i.key for i in stored.values() if i.resolved_minute is None} == {i.key for i in book.open}
    assert all(set(i.details[WAITING]) <= set(i.features) and i.details[WAITING] for i in book.open)


def test_the_sentence_names_what_came_first_and_counts_the_rest() -> None:
    book = IncidentBook("m")
    for at in range(40):
        move = book.find(finding(at, f"f{at}"))
    assert move is not None and len(move.incident.features) == 40
    assert move.incident.summary == "f0@0; f1@1; f2@2; f3@3; f4@4; f5@5; and 34 more"


def test_a_name_that_came_back_does_not_take_the_others_out_of_the_sentence() -> None:
    book = IncidentBook("m")
    book.find(finding(0, "a", "b"))
    book.end("feature_drift", ["a"], 5)
    move = book.find(finding(9, "a"))
    assert move is not None and move.incident.summary == "a+b@0"
