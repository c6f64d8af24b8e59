"""Everything that can be set, in one tree. ``load_settings`` fills it; built directly it reads its keywords only."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mlmon_sidecar.config.fields import (
    Header,
    HubUrl,
    ModelName,
    Mount,
    OptionalText,
    OtlpEndpoint,
    Path,
    StoreUrl,
    Table,
)
from mlmon_sidecar.config.models import ModelSettings
from mlmon_sidecar.interfaces import TextbookRule

UNIX = "unix://"
DEFAULT_MODEL = "default"
DEFAULT_STORE = "sqlite:///mlmon.db"
DEFAULT_MAX_BODY_BYTES = 48 * 1024  # per direction; larger bodies are counted, not decoded
DEFAULT_MAX_STREAM_BYTES = 256 * 1024
LARGEST_BODY_BYTES = 8 * 1024 * 1024  # also the default where they are decoded in the hub's process
DEFAULT_QUEUE_MAX_BYTES = 64 * 1024 * 1024

sources: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("mlmon_settings_sources", default=())
"""What ``Settings`` reads besides its keywords, strongest first. Set by ``load`` alone."""


class PrivacySettings(Table):
    """What is kept of a payload."""

    preset: Literal["default", "strict", "pci", "hipaa", "off"] = Field(
        default="default", description="Set of redaction rules, see privacy.md.", examples=["strict"]
    )
    mask: tuple[str, ...] = Field(
        default=(), description="Further names whose values are masked whole.", examples=[["customer_ref"]]
    )
    allow: tuple[str, ...] = Field(
        default=(), description="Names of the preset that are not personal here.", examples=[["city"]]
    )
    only: tuple[str, ...] = Field(
        default=(),
        description="Allowlist: fields with another name do not survive at all. Empty: no allowlist.",
        examples=[["amount", "country"]],
    )
    entities: tuple[str, ...] = Field(
        default=(),
        description="What is looked for in texts, instead of the preset's entities.",
        examples=[["email", "card", "national_id"]],
    )
    actions: tuple[str, ...] = Field(
        default=(),
        description="What becomes of an entity: `drop`, `mask`, `partial`, `hash` or `keep`.",
        examples=[["email=hash", "card=partial"]],
    )
    fields: tuple[str, ...] = Field(
        default=(),
        description="What becomes of a field, by name or by the end of its path, `*` for any part; stronger than all "
        "else.",
        examples=[["user.notes=drop", "zip=keep"]],
    )
    hash_key_file: OptionalText = Field(
        default=None,
        description="File with the keys of the action `hash`: `ID:SECRET` a line, the one in use first.",
        examples=["/run/secrets/mlmon-hash"],
    )
    hash_key_env: OptionalText = Field(
        default=None,
        description="Variable that holds the keys, separated by commas, where there is no file.",
        examples=["PRIVACY_HASH_KEYS"],
    )
    ner: bool = Field(
        default=False,
        description="Look for names of people and places in prose fields; needs the extra `ner` and a language model.",
        examples=[True],
    )
    ner_model: str = Field(
        default="en_core_web_sm", description="The installed spaCy model that reads.", examples=["en_core_web_sm"]
    )
    ner_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of a second's time that reading prose may take; beyond it a field is masked whole.",
        examples=[0.1],
    )
    store_features: tuple[str, ...] = Field(
        default=(),
        description="Features whose redacted values are kept with the rows; none unless named.",
        examples=[["country"]],
    )

    content: bool = Field(
        default=False,
        description="Whether a language model's prompt and answer go, redacted and cut, with its exported log record. "
        "`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true` does the same.",
        examples=[True],
    )


class HubSettings(Table):
    """Where the hub runs."""

    url: HubUrl = Field(
        default="embedded",
        description="`embedded`: the first process to take the store is the hub. `unix:///path`: `mlmon hub` listens "
        "there.",
        examples=["unix:///run/mlmon/hub.sock"],
    )
    ship: Literal["panes", "raw"] = Field(
        default="panes",
        description="`panes`: serving processes decode and count, and send the counts. `raw`: they send the bodies to "
        "`mlmon hub` on the same host, which decodes them; needs a `unix://` url.",
        examples=["raw"],
    )
    allow_uids: tuple[int, ...] = Field(
        default=(),
        description="User ids, besides its own and root, whose processes `mlmon hub` takes data from.",
        examples=[[1000]],
    )
    group: OptionalText = Field(
        default=None,
        description="Name or id of a group that may open the hub's socket (mode 0660). Not set: its owner alone "
        "(0600).",
        examples=["mlmon"],
    )

    @field_validator("ship")
    @classmethod
    def _on_this_host(cls, value: str, info: ValidationInfo) -> str:
        url = info.data.get("url", UNIX)
        if value == "raw" and not url.startswith(UNIX):
            raise ValueError(
                f"needs a hub of its own on this host, and hub.url is {url!r}: raw bodies never leave the host. Set "
                f'url = "{UNIX}/run/mlmon/hub.sock" and start "mlmon hub"'
            )
        return value

    @property
    def socket(self) -> str | None:
        """Path of the separate hub's socket, where there is one."""
        return self.url.removeprefix(UNIX) if self.url.startswith(UNIX) else None


class TokenSettings(Table):
    """Files that hold the tokens, one scope each. A file may hold two lines, so that a token can be changed."""

    label: OptionalText = Field(
        default=None, description="Path of the token for sending labels.", examples=["/run/secrets/label"]
    )
    read: OptionalText = Field(
        default=None, description="Path of the token for the page and status.", examples=["/run/secrets/read"]
    )
    ignore: OptionalText = Field(
        default=None,
        description="Path of the token by which a caller may leave a request out, in the header `x-mlmon-ignore`.",
        examples=["/run/secrets/ignore"],
    )


class FeedbackSettings(Table):
    """How labels are taken in."""

    signing_key_file: OptionalText = Field(
        default=None,
        description="Path of a key; feedback must then be signed with it (docs/feedback.md). Two lines while changing.",
        examples=["/run/secrets/label-signing"],
    )
    labels_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="Labels that one source of one token may send a minute. Not set: no limit.",
        examples=[600_000],
    )


class AlertSettings(Table):
    """How often a false alarm is acceptable."""

    false_alarm_days: float = Field(
        default=90.0,
        ge=1,
        description="At most one false alarm in so many days for each model, over everything allowed to alert.",
        examples=[90],
    )


class CheckSettings(Table):
    """Rules as textbooks have them. They are always on the status as figures; without a bound on false alarms."""

    textbook: tuple[TextbookRule, ...] = Field(
        default=(),
        description="Those that alarm, besides the checks that are always on: `ks_p_value`, `mean_shift_2sd`, "
        "`null_rate_doubled`, `prediction_mean_shift_2sd`, `confidence_floor`, `identical_predictions`, "
        "`centroid_cosine`.",
        examples=[["mean_shift_2sd"]],
    )
    confidence_floor: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Mean confidence below which `confidence_floor` fires. Not set: told by the baseline.",
        examples=[0.6],
    )


class ExportSettings(Table):
    """OpenTelemetry export. Nothing leaves the process until an endpoint is set."""

    preset: Literal["none", "grafana-cloud", "datadog", "datadog-agent", "prometheus"] = Field(
        default="none",
        description="A place by name: `grafana-cloud` (variables `GRAFANA_CLOUD_INSTANCE_ID`, `GRAFANA_CLOUD_API_KEY`, "
        "`GRAFANA_CLOUD_ZONE`), `datadog` (`DD_API_KEY`, `DD_SITE`), `datadog-agent` (`DD_AGENT_HOST`), `prometheus` "
        "(the same as `prometheus = true`). Other settings and `OTEL_*` variables win over it.",
        examples=["datadog"],
    )
    endpoint: OtlpEndpoint = Field(
        default=None,
        description="OTLP endpoint. Not set: `OTEL_EXPORTER_OTLP_ENDPOINT`, else nothing is exported.",
        examples=["http://127.0.0.1:4318"],
    )
    protocol: Literal["http/protobuf", "grpc"] = Field(
        default="http/protobuf", description="OTLP transport.", examples=["grpc"]
    )
    interval_seconds: float = Field(default=60.0, ge=0.1, le=3600, description="Time between exports.", examples=[15.0])
    prediction_logs: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of predictions sent as redacted log records, with their outcomes.",
        examples=[0.01],
    )
    spans: Literal["join", "own"] = Field(
        default="join",
        description="`join`: the application's own span of a request is joined, and none is made. `own`: where the "
        "application traces nothing, each prediction is a SERVER span, made after the request; it continues the "
        'caller\'s trace. Not with `[hub] ship = "raw"`.',
        examples=["own"],
    )
    bins: bool = Field(
        default=False,
        description="Export what is in the bins of each feature and of its baseline, for drift over several hubs: up "
        "to 1,000 series more a model.",
        examples=[True],
    )
    prometheus: bool = Field(
        default=False,
        description="Serve this process's metrics to Prometheus at `metrics` below `endpoints`, to who has the token "
        "for reading.",
        examples=[True],
    )

    @property
    def scraped(self) -> bool:
        """Whether Prometheus may ask for the metrics."""
        return self.prometheus or self.preset == "prometheus"


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, title="mlmon.toml")

    enabled: bool = Field(
        default=True, description="`false` removes the monitor: requests pass through.", examples=[False]
    )
    dev: bool = Field(
        default=False,
        description="Development: makes a token beside the store, readable by you alone, for page and feedback.",
        examples=[True],
    )
    store: StoreUrl = Field(
        default=DEFAULT_STORE,
        description="The hub's store: `sqlite:///` and a path relative to the working directory (four slashes: an "
        "absolute one), or `postgresql://user@host/database` (the extra `postgres`; no password in it).",
        examples=["sqlite:////var/lib/mlmon/mlmon.db"],
    )
    model: ModelName | None = Field(
        default=None,
        description="The one model this application serves: others of a shared file are not captured here. Without "
        "`models` it names the model.",
        examples=["fraud"],
    )
    endpoints: Mount = Field(
        default="/mlmon",
        description="Where the page and the feedback endpoint are mounted; empty: nowhere.",
        examples=["/mlmon"],
    )
    prediction_id_header: Header = Field(
        default="x-mlmon-prediction-id",
        description="Response header that carries the prediction id; empty: no header.",
        examples=["x-mlmon-prediction-id"],
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names the page answers to besides the loopback ones, without port; `*` for any.",
        examples=[["mlmon.example"]],
    )
    flush_interval_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Time between two flushes to the hub.", examples=[1.0]
    )
    model_version: OptionalText = Field(
        default=None,
        description="Version of predictions whose model, path and bodies name none. Not set: `unversioned`.",
        examples=["${IMAGE_TAG}"],
    )
    max_body_bytes: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_BODY_BYTES,
        description="A body larger than this, either direction, is counted and not decoded. Not set: 48 KiB, and 8 MiB "
        'with `ship = "raw"`.',
        examples=[DEFAULT_MAX_BODY_BYTES],
    )
    max_stream_bytes: int = Field(
        default=DEFAULT_MAX_STREAM_BYTES,
        ge=0,
        le=8 * 1024 * 1024,
        description="The same for an answer that is an event stream (`text/event-stream`, `application/x-ndjson`); of "
        "a longer one its first so many bytes are kept, and its last chunks.",
        examples=[DEFAULT_MAX_STREAM_BYTES],
    )
    exclude: tuple[Path, ...] = Field(
        default=(),
        description="Paths that are no predictions, whatever their method; patterns as in `routes`. Health checks and "
        "the like are left out anyway, and a route without `*` wins.",
        examples=[["/admin/**"]],
    )
    queue_max_bytes: int = Field(
        default=DEFAULT_QUEUE_MAX_BYTES,
        ge=1024,
        description="Bytes that may wait for decoding; beyond it exchanges are dropped and counted.",
        examples=[DEFAULT_QUEUE_MAX_BYTES],
    )
    clock_scale: float = Field(
        default=1.0,
        gt=0,
        description="Event time runs so many times as fast as the clock; for demonstrations.",
        examples=[60.0],
    )
    clock_anchor: float | None = Field(
        default=None,
        ge=0,
        description="Unix seconds where scaled and real time meet; needed with `clock_scale`.",
        examples=[1750000000.0],
    )
    models: dict[ModelName, ModelSettings] = Field(
        default_factory=dict, description="The monitored models by name. None: one model named `default`."
    )
    privacy: PrivacySettings = Field(default_factory=PrivacySettings, description="What is kept of a payload.")
    hub: HubSettings = Field(default_factory=HubSettings, description="Where the hub runs.")
    tokens: TokenSettings = Field(default_factory=TokenSettings, description="Files that hold the tokens.")
    checks: CheckSettings = Field(default_factory=CheckSettings, description="Textbook rules that alarm.")
    feedback: FeedbackSettings = Field(default_factory=FeedbackSettings, description="How labels are taken in.")
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="How often a false alarm is acceptable.")
    export: ExportSettings = Field(default_factory=ExportSettings, description="OpenTelemetry export.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, *sources.get())

    @model_validator(mode="before")
    @classmethod
    def _one_model_at_least(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("models") and isinstance(data.get("model"), str | None):
            return data | {"models": {data.get("model") or DEFAULT_MODEL: {}}}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clock_scale != 1.0 and self.clock_anchor is None:
            raise ValueError("clock_scale needs clock_anchor, the same in every process of a run")
        if self.model is not None and self.model not in self.models:
            near = get_close_matches(self.model, self.models, n=1)
            known = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(self.models))}"
            raise ValueError(f"model: no model {self.model!r} is configured; {known}")
        bare = [name for name, model in self.models.items() if not model.routes]
        if bare and len(self.captured()) > 1:
            raise ValueError(f"models.{bare[0]}.routes: needed when more than one model is configured")
        for name, model in self.models.items():
            if model.outcomes.pull.url == self.store:
                # The pull reads with another copy of SQLite, which would take the store's locks away.
                raise ValueError(f"models.{name}.outcomes.pull.url: is the monitor's own store; name another database")
        return self

    @property
    def body_limit(self) -> int:
        """``max_body_bytes``, or what holds where it is not set."""
        if self.max_body_bytes is not None:
            return self.max_body_bytes
        return LARGEST_BODY_BYTES if self.hub.ship == "raw" else DEFAULT_MAX_BODY_BYTES

    def captured(self) -> Mapping[str, ModelSettings]:
        """The models whose traffic this application serves."""
        return self.models if self.model is None else {self.model: self.models[self.model]}

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON schema of the file, for editors."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **cls.model_json_schema()}
