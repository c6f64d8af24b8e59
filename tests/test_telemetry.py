"""What fails every second is counted every time and said once a minute."""

import logging

import pytest

from mlmon_sidecar.telemetry import QUIET_NS, Telemetry


class Time:
    now = 0

    def __call__(self) -> int:
        return self.now


def test_a_part_that_fails_every_second_says_so_once_a_minute_and_is_counted_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    time = Time()
    telemetry = Telemetry(time)
    with caplog.at_level(logging.WARNING, "mlmon_sidecar"):
        for second in range(180):
            time.now = second * 1_000_000_000
            telemetry.failed("hub", OSError("secret 4711"))
            if second == 0:
                telemetry.failed("decode", ValueError("secret 4712"))
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "mlmon: hub failed with OSError; the host application is not affected",
        "mlmon: decode failed with ValueError; the host application is not affected",
        *2
        * [
            "mlmon: hub failed with OSError; the host application is not affected (59 more like it in the last minutes)"
        ],
    ]
    assert telemetry.snapshot() == {"errors.hub.OSError": 180, "errors.decode.ValueError": 1}
    assert QUIET_NS == 60_000_000_000
