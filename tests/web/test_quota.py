from mlmon_sidecar.web.quota import SOURCES_KNOWN, Quota


class Clock:
    seconds = 0.0

    def monotonic_ns(self) -> int:
        return int(self.seconds * 1e9)

    def unix_ns(self) -> int:
        return self.monotonic_ns()

    def unix_at(self, monotonic_ns: int) -> int:
        return monotonic_ns


def test_a_bucket_fills_evenly_and_holds_a_minute() -> None:
    clock = Clock()
    quota = Quota(60, clock)
    assert sum(quota.take("t", "s") for _ in range(100)) == 60
    clock.seconds = 10
    assert sum(quota.take("t", "s") for _ in range(100)) == 10
    clock.seconds = 10_000
    assert sum(quota.take("t", "s") for _ in range(100)) == 60
    assert quota.take("other", "s") and quota.take("t", "other")


def test_invented_sources_share_one_bucket() -> None:
    quota = Quota(2, Clock())
    taken = sum(quota.take("t", f"s{number}") for number in range(SOURCES_KNOWN + 50))
    assert taken == SOURCES_KNOWN + 2
