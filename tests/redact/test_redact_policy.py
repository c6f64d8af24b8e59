"""Actions, presets, keys: what becomes of what was found."""

import copy
import hashlib
import hmac
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.redact import RedactionPolicy, Redactor
from mlmon_sidecar.redact.hash_keys import HashKeys, load_hash_keys

SECRET = "correct-horse-battery"
KEYS = HashKeys({"k2": SECRET.encode(), "k1": b"an-older-secret-one"})


def under(*actions: str, fields: tuple[str, ...] = (), preset: str = "default", **further: Any) -> Redactor:
    return Redactor(RedactionPolicy.of(preset, actions=actions, fields=fields, hash_keys=KEYS, **further))


class TestActions:
    @pytest.mark.parametrize(
        ("action", "text", "expected"),
        [
            ("email=mask", "to jo@example.org.", "to <email>."),
            ("email=partial", "to jo@example.org.", "to <email:@example.org>."),
            ("email=drop", "to jo@example.org.", "to ."),
            ("email=keep", "to jo@example.org.", "to jo@example.org."),
            ("card=partial", "4111 1111 1111 1111", "<card:1111>"),
            ("us_ssn=partial", "ssn 219-09-9998", "ssn <us_ssn:9998>"),
            ("national_id=drop", "219-09-9998!", "!"),
        ],
    )
    def test_in_texts(self, action: str, text: str, expected: str) -> None:
        redactor = under(action)
        assert redactor.redact_text(text) == expected
        assert redactor.redact_text(expected) == expected

    def test_under_names(self) -> None:
        redactor = under("email=partial", "card=partial", "phone=drop", "password=drop", "person_name=keep")
        document = {"email": "jo@example.org", "card_number": 4111111111111111, "phone": "x", "list": [{"pwd": 1}],
                    "first_name": "Jo jo@a.org", "iban": "x"}  # fmt: skip
        redacted = {"email": "<email:@example.org>", "card_number": "<card:1111>", "list": [{}],
                    "first_name": "Jo <email:@a.org>", "iban": "<redacted>"}  # fmt: skip
        assert redactor.redact(document) == redacted
        assert redactor.redact(redacted) == redacted

    def test_of_a_short_value_nothing_is_kept(self) -> None:
        assert under("password=partial").redact({"pin": "1234"}) == {"pin": "<redacted>"}

    def test_fields_are_stronger_than_all_else(self) -> None:
        redactor = under("email=drop", fields=("email=keep", "user.notes=drop", "*.ref=mask", "zip=hash"))
        document = {"email": "jo@a.org", "user": {"notes": "x", "ref": 5}, "notes": "x", "ref": 5, "zip": "10115"}
        after = redactor.redact(document)
        assert isinstance(after, dict)
        assert after["zip"].startswith("<field:h1:k2:")
        assert {**after, "zip": 0} == {
            "email": "jo@a.org",
            "user": {"ref": "<redacted>"},
            "notes": "x",
            "ref": 5,
            "zip": 0,
        }

    def test_an_allowlist_lets_nothing_else_through(self) -> None:
        redactor = under(only=("amount", "customer"))
        document = {"amount": 5, "x": 1, "y": {"amount": [1], "z": 2}, "t": ["a", {"b": 1}],
                    "customer": {"a": "jo@a.org"}, "columns": ["amount", "x"], "data": [[1, 2], [3, 4]]}  # fmt: skip
        assert redactor.redact(document) == {
            "amount": 5, "y": {"amount": [1]}, "t": [{}], "customer": {"a": "<email>"}, "data": [[1, None], [3, None]],
        }  # fmt: skip
        assert redactor.category("x", "red") == "<redacted>"
        assert redactor.category("amount", "red") == redactor.category("prediction", "red") == "red"

    def test_drop_that_brings_two_halves_together_is_looked_at_again(self) -> None:
        assert under("email=drop").redact_text("4111 1111 jo@a.org 1111 1111") == "4111 1111  1111 1111"
        assert under("us_ssn=drop").redact_text("AB12 34 219-09-9998") == "AB12 34 "


class TestPresets:
    def test_pci_keeps_four_digits_and_no_security_code(self) -> None:
        redactor = Redactor(RedactionPolicy.of("pci"))
        assert redactor.redact({"pan": "4111111111111111", "cvv": 123, "note": "5555-5555-5555-4444"}) == {
            "pan": "<card:1111>", "note": "<card:4444>",
        }  # fmt: skip

    def test_hipaa_masks_dates_and_records(self) -> None:
        policy = RedactionPolicy.of("hipaa")
        assert all(policy.masks(name) for name in ("admissionDate", "mrn", "zip", "deviceId", "url", "photo", "fax"))

    def test_each_says_something_else(self) -> None:
        assert len({RedactionPolicy.of(name).hash for name in ("default", "strict", "pci", "hipaa", "off")}) == 5

    @pytest.mark.parametrize(
        "change",
        [
            {"entities": ("email",)}, {"actions": ("email=drop",)}, {"fields": ("a=drop",)}, {"only": ("a",)},
            {"allow": ("email",)}, {"mask": ("vin",)}, {"actions": ("email=hash",), "hash_keys": KEYS},
        ],
    )  # fmt: skip
    def test_the_hash_covers_what_changes_what_comes_out(self, change: dict[str, Any]) -> None:
        assert RedactionPolicy.of(**change).hash != RedactionPolicy().hash

    def test_the_hash_tells_key_ids_apart_and_nothing_of_their_material(self) -> None:
        one, same, other = (
            RedactionPolicy.of(actions=("email=hash",), hash_keys=HashKeys({name: secret}))
            for name, secret in (("k1", b"a"), ("k1", b"b"), ("k2", b"a"))
        )
        assert one.hash == same.hash != other.hash
        assert RedactionPolicy.of(hash_keys=KEYS).hash == RedactionPolicy().hash

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"preset": "pcj"}, "not a preset"),
            ({"entities": ("emial",)}, "Did you mean 'email'"),
            ({"actions": ("email=mak",)}, "Did you mean 'mask'"),
            ({"actions": ("emial=mask",)}, "Did you mean 'email'"),
            ({"actions": ("email",)}, "Write name=action"),
            ({"fields": ("a=hash",)}, "hash_key_file"),
        ],
    )
    def test_mistakes_say_what_to_write(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            RedactionPolicy.of(**change)


class TestHash:
    def test_is_the_hmac_of_entity_and_value(self) -> None:
        digest = hmac.new(SECRET.encode(), b"email\0jo@example.org", hashlib.sha256).hexdigest()[:32]
        letters = "".join("abcdefghijklmnop"[int(digit, 16)] for digit in digest)
        assert under("email=hash").redact_text("Jo@Example.org") == f"<email:h1:k2:{letters}>"

    def test_equal_values_stay_equal_however_they_are_written_and_wherever_they_stand(self) -> None:
        redactor = under("card=hash")
        texts = ["4111 1111 1111 1111", "4111-1111-1111-1111", "４１１１１１１１１１１１１１１１"]
        values = {redactor.redact_text(text) for text in texts[:2]}
        values.add(redactor.redact({"card_number": 4111111111111111})["card_number"])  # type: ignore[index]
        assert len(values) == 1
        assert redactor.redact_text(values.copy().pop()) in values
        assert redactor.redact_text("5555555555554444") not in values

    def test_an_older_key_finds_what_it_hashed(self) -> None:
        old = HashKeys({"k1": b"an-older-secret-one"})
        assert old.placeholder("email", "jo@a.org") in KEYS.placeholders("email", "jo@a.org")
        assert KEYS.placeholder("email", "jo@a.org") == KEYS.placeholders("email", "jo@a.org")[0]

    def test_the_secret_is_in_no_repr_and_no_pickle(self) -> None:
        policy = RedactionPolicy.of(actions=("email=hash",), hash_keys=KEYS)
        assert SECRET not in repr(policy) + repr(KEYS) + str(vars(policy))
        with pytest.raises(TypeError):
            pickle.dumps(KEYS)

    def test_keys_come_from_a_file_or_a_variable(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(f"# rotated in May\nk2:{SECRET}\nk1:an-older-secret-one\n")
        assert load_hash_keys(None, None, {}) is None
        for keys in (
            load_hash_keys(str(file), None, {}),
            load_hash_keys(None, "K", {"K": f"k2:{SECRET},k1:an-older-secret-one"}),
        ):
            assert keys is not None
            assert keys.placeholders("email", "jo@a.org") == KEYS.placeholders("email", "jo@a.org")

    @pytest.mark.parametrize(
        "text", ["", "k1:short", "no colon but a long line", "k1:" + SECRET + "\nk1:" + SECRET, "k 1:" + SECRET]
    )
    def test_a_wrong_key_is_told_without_quoting_it(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "keys").write_text(text)
        with pytest.raises(ConfigError, match="hash_key_file") as raised:
            load_hash_keys(str(tmp_path / "keys"), None, {})
        assert SECRET not in str(raised.value)
        for file, variable in ((str(tmp_path / "none"), None), (None, "NONE")):
            with pytest.raises(ConfigError, match="hash_key_unreadable"):
                load_hash_keys(file, variable, {})


class TestNamesBesideTheirValues:
    def test_tensors_and_tables(self) -> None:
        document = {
            "inputs": [
                {"name": "customer_email", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
                {"name": "amount", "shape": [2], "datatype": "FP32", "data": [4111111111111111, 2.0]},
                {"name": "note", "datatype": "BYTES", "data": [["jo@a.org"], ["x"]]},
            ],
            "dataframe_split": {"columns": ["id", "ssn", "tfn note"], "data": [[1, 2, "123 456 782"], [3, None, "x"]]},
            "seldon": {"names": ["dob"], "ndarray": [["1985"], [7]]},
            "pair": {"name": "password", "value": "x"},
        }
        before = copy.deepcopy(document)
        after: Any = Redactor().redact(document)
        assert [tensor["data"] for tensor in after["inputs"]] == [
            ["<redacted>", "<redacted>"], [4111111111111111, 2.0], [["<email>"], ["x"]],
        ]  # fmt: skip
        assert after["dataframe_split"]["data"] == [[1, "<redacted>", "<au_tfn>"], [3, None, "x"]]
        assert after["seldon"]["ndarray"] == [["<redacted>"], ["<redacted>"]]
        assert after["pair"] == {"name": "password", "value": "<redacted>"}
        assert document == before
        assert Redactor().redact(after) == after

    def test_json_in_a_string_in_json(self) -> None:
        inner = json.dumps({"password": "x", "n": 4111111111111111, "deep": json.dumps(["jo@a.org"])})
        after: Any = Redactor().redact({"body": inner, "same": '{ "a" : 1 }', "no": "{jo@a.org}"})
        assert json.loads(after["body"]) == {"password": "<redacted>", "n": 4111111111111111, "deep": '["<email>"]'}
        assert after["same"] == '{ "a" : 1 }'
        assert after["no"] == "{<email>}"

    def test_lists_of_numbers_are_not_even_copied(self) -> None:
        numbers = [4111111111111111, 0.5]
        assert Redactor().redact({"x": numbers})["x"] is numbers  # type: ignore[index]


def test_explain_names_rule_and_place_and_no_value() -> None:
    explained = Redactor().explain({"a": [{"pwd": "hunter2"}], "jo@a.org": "+14155552671", "j": '{"iban": 5}'})
    acts = {(act.path, act.rule, act.action.value) for act in explained.acts}
    assert acts == {
        (("a", 0, "pwd"), "key:password", "mask"), (("<email>",), "name", "mask"), (("<email>",), "phone", "mask"),
        (("j", "iban"), "key:iban", "mask"),
    }  # fmt: skip
    assert not any(secret in repr(explained) for secret in ("hunter2", "jo@", "4155552671"))
