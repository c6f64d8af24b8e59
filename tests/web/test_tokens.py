import os
import stat
import threading
from pathlib import Path

import pytest

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.web import tokens
from mlmon_sidecar.web.tokens import Scope, TokenSet, development_token, load_tokens

OLD = "old-token-0123456789"
NEW = "new-token-0123456789"
THIRD = "third-token-0123456789"


def test_no_token_is_empty() -> None:
    assert TokenSet().empty
    assert TokenSet.of({Scope.READ: []}).empty
    assert not TokenSet().allows("", Scope.READ)
    assert not TokenSet.of({Scope.READ: [OLD]}).empty


def test_two_lines_are_valid_at_once_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "read"
    file.write_text(f"{OLD}\n{NEW}\n")
    loaded = load_tokens({Scope.READ: file})
    assert loaded.allows(OLD, Scope.READ)
    assert loaded.allows(NEW, Scope.READ)
    assert not loaded.allows(THIRD, Scope.READ)
    assert not loaded.allows(OLD, Scope.LABEL)
    assert not loaded.allows(f"{OLD}\n{NEW}", Scope.READ)


def test_rotation_ends_the_old_token_and_its_session(tmp_path: Path) -> None:
    file = tmp_path / "read"
    file.write_text(f"{OLD}\n{NEW}\n")
    both = load_tokens({Scope.READ: file})
    old_session, new_session = both.session(OLD), both.session(NEW)
    assert both.reads_with(old_session)
    file.write_text(f"{NEW}\n")
    after = load_tokens({Scope.READ: file})
    assert not after.allows(OLD, Scope.READ)
    assert not after.reads_with(old_session)
    assert after.reads_with(new_session)


def test_a_session_is_no_token() -> None:
    valid = TokenSet.of({Scope.READ: [OLD], Scope.LABEL: [OLD]})
    session = valid.session(OLD)
    assert OLD not in session
    assert not valid.knows(session)
    assert not valid.reads_with(OLD)
    assert not valid.reads_with("")


def test_a_session_of_a_token_of_another_scope_does_not_read() -> None:
    valid = TokenSet.of({Scope.READ: [OLD], Scope.LABEL: [NEW]})
    assert not valid.reads_with(valid.session(NEW))


def test_no_secret_shows_in_the_representation() -> None:
    assert OLD not in repr(TokenSet.of({Scope.READ: [OLD]}))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "token_count"),
        (f"{OLD}\n{NEW}\n{THIRD}\n".encode(), "token_count"),
        (b"short\n", "token_form"),
        (b"two words in one token\n", "token_form"),
        (b"\xff\xfe\x00", "token_file_unreadable"),
    ],
)
def test_an_unusable_file_is_a_configuration_error(tmp_path: Path, content: bytes, code: str) -> None:
    file = tmp_path / "label"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_tokens({Scope.LABEL: file})
    assert raised.value.code == code
    assert "short" not in str(raised.value).replace("short)", "")


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens\.record.*FileNotFoundError"):
        load_tokens({Scope.RECORD: tmp_path / "nowhere"})


def test_every_valid_digest_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = tokens.hmac.compare_digest
    monkeypatch.setattr(tokens.hmac, "compare_digest", lambda a, b: compared.append(b) or real(a, b))
    assert TokenSet.of({Scope.READ: [OLD, NEW]}).allows(OLD, Scope.READ)
    assert len(compared) == 2
    assert all(len(digest) == 32 for digest in compared)


def test_the_development_token_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db.token"
    token = development_token(path)
    assert len(token) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert development_token(path) == token
    assert os.listdir(tmp_path) == [path.name]
    assert development_token(tmp_path / "other.token") != token


def test_workers_that_start_at_once_get_one_token(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db.token"
    workers = 16
    barrier = threading.Barrier(workers)
    seen = []

    def start() -> None:
        barrier.wait()
        seen.append(development_token(path))

    threads = [threading.Thread(target=start) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == workers
    assert len(set(seen)) == 1
    assert os.listdir(tmp_path) == [path.name]


def test_the_loser_of_the_race_takes_the_winners_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlmon.db.token"
    winner = development_token(path)
    monkeypatch.setattr(tokens.os.path, "lexists", lambda _: False)  # looked before the winner linked its file
    assert development_token(path) == winner
    assert os.listdir(tmp_path) == [path.name]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.db.token"
    development_token(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError) as raised:
        development_token(path)
    assert raised.value.code == "token_file_exposed"


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text(OLD)
    target.chmod(0o600)
    path = tmp_path / "mlmon.db.token"
    path.symlink_to(target)
    with pytest.raises(ConfigError) as raised:
        development_token(path)
    assert raised.value.code == "token_file_unreadable"


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        development_token(tmp_path / "nowhere" / "mlmon.db.token")
    assert raised.value.code == "token_file_unwritable"


def test_development_scopes_label_and_read_only(tmp_path: Path) -> None:
    token = development_token(tmp_path / "token")
    valid = TokenSet().also(token, tokens.DEVELOPMENT_SCOPES)
    assert {scope for scope in Scope if valid.allows(token, scope)} == {Scope.LABEL, Scope.READ}
