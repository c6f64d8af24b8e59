"""The standard variables: which wins, what a bad one does, what nothing means."""

import logging
from typing import Any

import pytest

from mlmon_sidecar.export.options import ExportOptions, ExportSettings, SignalOptions


def resolve(environ: dict[str, str] | None = None, *, scale: float = 1.0, **settings: Any) -> ExportOptions:
    return ExportOptions.from_environment(ExportSettings(**settings), environ or {}, clock_scale=scale)


def metrics_of(options: ExportOptions) -> SignalOptions:
    assert options.metrics is not None
    return options.metrics


def logs_of(options: ExportOptions) -> SignalOptions:
    assert options.logs is not None
    return options.logs


def test_nothing_configured_sends_nothing() -> None:
    assert not resolve().enabled
    assert not ExportOptions().enabled
    assert not resolve({"OTEL_SERVICE_NAME": "shop", "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}).enabled


def test_an_endpoint_from_the_settings_serves_both_signals() -> None:
    options = resolve(endpoint="http://collector:4318/")
    assert metrics_of(options).endpoint == "http://collector:4318/v1/metrics"
    assert logs_of(options).endpoint == "http://collector:4318/v1/logs"


def test_variables_win_over_settings_and_the_signal_s_own_over_the_common() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://common:4318",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:9/exactly/this",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,X-Team=ml",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "api-key=m",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "2.5",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": "/logs.pem",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        "OTEL_METRIC_EXPORT_INTERVAL": "15000",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta",
    }
    settings = {"endpoint": "http://file:1", "protocol": "grpc", "interval_seconds": 5.0, "timeout_seconds": 9.0}
    options = resolve(environ, headers={"API-Key": "file", "Other": "kept"}, **settings)
    assert metrics_of(options).endpoint == "http://common:4318/v1/metrics"
    assert metrics_of(options).headers == {"api-key": "m", "other": "kept"}
    assert metrics_of(options).timeout_seconds == 3.0
    assert metrics_of(options).compression == "none"
    assert metrics_of(options).certificate == "/ca.pem"
    assert metrics_of(options).protocol == "http/protobuf"
    assert logs_of(options).endpoint == "http://logs:9/exactly/this"
    assert logs_of(options).headers == {"api-key": "a b", "x-team": "ml", "other": "kept"}
    assert logs_of(options).timeout_seconds == 2.5
    assert logs_of(options).compression == "gzip"
    assert logs_of(options).certificate == "/logs.pem"
    assert logs_of(options).protocol == "grpc"
    assert options.interval_seconds == 15.0
    assert options.temporality == "delta"


def test_grpc_takes_the_base_as_it_is() -> None:
    assert metrics_of(resolve(endpoint="http://collector:4317", protocol="grpc")).endpoint == "http://collector:4317"


@pytest.mark.parametrize(
    ("exporter", "endpoint"), [("otlp", "http://localhost:4318/v1/metrics"), ("none", None), ("OTLP,none", "4318")]
)
def test_metrics_exporter_names(exporter: str, endpoint: str | None) -> None:
    options = resolve({"OTEL_METRICS_EXPORTER": exporter})
    assert options.logs is None
    assert (options.metrics is None) if endpoint is None else (endpoint in metrics_of(options).endpoint)


def test_none_switches_one_signal_off() -> None:
    options = resolve({"OTEL_LOGS_EXPORTER": "none"}, endpoint="http://collector:4318")
    assert options.logs is None and options.metrics is not None


def test_an_exporter_we_do_not_have_is_said_and_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    options = resolve({"OTEL_METRICS_EXPORTER": "prometheus"}, endpoint="http://collector:4318")
    assert options.metrics is None and options.logs is not None
    assert "OTEL_METRICS_EXPORTER" in caplog.text


def test_the_switch_turns_everything_off() -> None:
    options = resolve({"OTEL_SDK_DISABLED": "true"}, endpoint="http://collector:4318")
    assert not options.enabled and not options.use_host_providers


def test_a_configuration_file_leaves_set_up_to_the_application() -> None:
    options = resolve({"OTEL_CONFIG_FILE": "/otel.yaml"}, endpoint="http://collector:4318")
    assert not options.enabled and options.use_host_providers


def test_resource() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=res,deployment.environment.name=prod,team=a%2Cb"}
    said = {"service_name": "file", "service_version": "1.2", "resource": {"team": "file", "kept": "yes"}}
    resource = resolve(environ, **said).resource
    assert resource == {
        "service.name": "res",
        "service.version": "1.2",
        "deployment.environment.name": "prod",
        "team": "a,b",
        "kept": "yes",
    }
    assert resolve({**environ, "OTEL_SERVICE_NAME": "env"}, **said).resource["service.name"] == "env"
    assert resolve(**said).resource["service.name"] == "file"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "nan"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret-without-equals"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0"),
    ],
)
def test_a_bad_variable_is_named_and_not_used(name: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        options = resolve({name: value}, endpoint="http://collector:4318")
    assert options == resolve(endpoint="http://collector:4318")
    assert name in caplog.text and (value not in caplog.text or name == "OTEL_BLRP_MAX_QUEUE_SIZE")


def test_an_empty_variable_is_unset() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": " ", "OTEL_METRICS_EXPORTER": ""}
    assert not resolve(environ).enabled


def test_log_batching_variables() -> None:
    environ = {
        "OTEL_BLRP_SCHEDULE_DELAY": "250",
        "OTEL_BLRP_MAX_QUEUE_SIZE": "7",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "3",
    }
    options = resolve(environ)
    assert (options.log_delay_seconds, options.log_queue, options.log_batch) == (0.25, 7, 3)


def test_the_interval_shrinks_with_the_clock_s_scale_to_a_second() -> None:
    assert resolve(scale=10.0).interval_seconds == 6.0
    assert resolve(scale=1000.0).interval_seconds == 1.0
    assert resolve({"OTEL_METRIC_EXPORT_INTERVAL": "200"}).interval_seconds == 0.2


def test_the_sampled_share_of_predictions() -> None:
    ids = [f"0190-{number}" for number in range(4000)]
    kept = [identity for identity in ids if resolve(prediction_logs=0.25).keeps_prediction(identity)]
    assert 0.21 < len(kept) / len(ids) < 0.29  # 4 standard deviations are 0.027
    assert kept == [identity for identity in kept if resolve(prediction_logs=0.25).keeps_prediction(identity)]
    assert not any(resolve().keeps_prediction(identity) for identity in ids)
    assert all(resolve(prediction_logs=1.0).keeps_prediction(identity) for identity in ids)


def test_secrets_show_neither_in_repr_nor_in_the_target() -> None:
    options = resolve(endpoint="http://user:hunter2@collector:4318", headers={"authorization": "hunter2"})
    assert "hunter2" not in repr(options)
    assert metrics_of(options).target == "http://collector:4318/v1/metrics"
