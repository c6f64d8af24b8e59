"""A server that is scraped: what Prometheus would read is what happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from runtime_serving import SOON_SECONDS, TOKEN, Served, eventually, serving

READ = {"authorization": f"Bearer {TOKEN}"}
BATCH = {"instances": [{"income": 1.0}, {"income": 2.0}, {"income": 3.0}]}


def configure(folder: Path, *, prometheus: bool) -> None:
    (folder / "token").write_text(TOKEN)
    (folder / "mlmon.toml").write_text(
        f"""
        flush_interval_seconds = 0.1
        tokens = {{read = "{folder}/token"}}
        export = {{preset = "{"prometheus" if prometheus else "none"}"}}
        [models.loans]
        routes = ["POST /score"]
        """
    )


def figures(served: Served) -> dict[str, float]:
    """Sample with its labels to value."""
    answer = eventually(lambda: served.client.get("/mlmon/metrics", headers=READ), lambda a: a.status_code == 200)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("surroundings")
    configure(folder, prometheus=True)
    with serving(folder, "served_surroundings:app") as server:
        for headers in ({}, {}, {"x-fail": "1"}):
            server.client.post("/score", json=BATCH, headers=headers)
        server.client.post("/score", content=b"{}", headers={"x-fail": "1"})
        server.counted(4)
        yield server


def of(found: dict[str, float], name: str, *parts: str) -> float:
    (value,) = [v for key, v in found.items() if key.startswith(f"{name}{{") and all(part in key for part in parts)]
    return value


def whole(found: dict[str, float], name: str) -> float:
    return sum(value for key, value in found.items() if key.startswith(f"{name}{{"))


def test_requests_by_their_ending(served: Served) -> None:
    found = eventually(lambda: figures(served), lambda f: "mlmon_requests_total" in "".join(f))
    outcomes = {"ok": 2, "server_error": 2, "client_error": 0, "aborted": 0}
    wanted = lambda f: all(  # noqa: E731
        sum(v for k, v in f.items() if k.startswith("mlmon_requests_total") and f'"{o}"' in k) == n
        for o, n in outcomes.items()
    )
    found = eventually(lambda: figures(served), wanted)
    assert sum(v for k, v in found.items() if k.startswith("mlmon_prediction_duration_seconds_count")) == 4


def test_first_bytes_come_before_last_ones(served: Served) -> None:
    found = eventually(lambda: figures(served), lambda f: any("time_to_first_byte" in key for key in f))
    first, last = "mlmon_prediction_time_to_first_byte_seconds", "mlmon_prediction_duration_seconds"
    assert of(found, f"{first}_count") == whole(found, f"{last}_count") == 4
    # Sums of doubles: the same times, added up in another order, differ in the last digit.
    assert 0 < of(found, f"{first}_sum") <= whole(found, f"{last}_sum") * (1 + 1e-9) < SOON_SECONDS
    assert of(found, f"{last}_count", 'error_type="503"') == 2, "those that failed are told apart"


def test_the_queue_is_told_with_its_limit(served: Served) -> None:
    found = figures(served)
    assert found["mlmon_self_queue_limit_bytes"] == 64 * 1024 * 1024
    assert 0 <= found["mlmon_self_queue_size_bytes"] < 64 * 1024


def test_rows_of_requests(served: Served) -> None:
    found = eventually(lambda: figures(served), lambda f: any(k.startswith("mlmon_batch_size_count") for k in f))
    assert of(found, "mlmon_batch_size_sum") == 3 * of(found, "mlmon_batch_size_count") >= 6


def test_loading_is_what_the_application_measured(served: Served) -> None:
    assert 0.3 <= of(figures(served), "mlmon_model_load_duration_seconds", '"loans"') < SOON_SECONDS


def test_queue_loop_and_collections(served: Served) -> None:
    found = eventually(lambda: figures(served), lambda f: f["mlmon_event_loop_lag_seconds_count"] > 0)
    assert of(found, "mlmon_queue_depth", '"waiting"') == 4
    assert found["mlmon_gc_pause_seconds_count"] > 0
    assert found["process_thread_count"] > 1


def test_a_request_is_active_while_it_is_worked_on(served: Served) -> None:
    def hold() -> None:
        httpx.post(f"{served.url}/score", json=BATCH, headers={"x-hold": "1"}, timeout=SOON_SECONDS)

    active = lambda: of(figures(served), "mlmon_request_active", '"loans"')  # noqa: E731
    assert active() == 0
    waiting = threading.Thread(target=hold)
    waiting.start()
    eventually(active, lambda value: value == 1)
    assert served.client.post("/release").status_code == 200
    waiting.join()
    eventually(active, lambda value: value == 0)


def test_only_who_may_read_may_scrape(served: Served) -> None:
    assert served.client.get("/mlmon/metrics").status_code == 401
    assert served.client.post("/mlmon/metrics", headers=READ).status_code == 405


def test_no_page_unless_asked_for(tmp_path: Path) -> None:
    configure(tmp_path, prometheus=False)
    with serving(tmp_path, "served_surroundings:app") as server:
        server.status()
        assert server.client.get("/mlmon/metrics", headers=READ).status_code == 404
