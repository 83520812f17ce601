"""The schema that reads and checks environment variables."""

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate
from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.model.catalogue import PROVIDERS, SOURCES, Provider
from shared.model.faults import FAULT_POINTS, Fault

SAMPLE_CSV = Path(__file__).resolve().parent.parent / "data" / "sample.csv"
"""The sample data that ships with the project, read while `CSV_PATH` is unset."""

IDENTITY_FILES = SAMPLE_CSV.parent / "identity"
"""The crosswalk that ships with the project, the default of `IDENTITY_PATH`."""

ENVIRONMENTS = ("development", "test", "staging", "production")

PUBLIC_RATE_LIMIT = "1200/minute"
"""Default rate limit of each client if the API can be reached from other machines."""

RATE_LIMIT = re.compile("off|[1-9][0-9]{0,8}/(second|minute|hour|day)")
ORIGIN = re.compile(
    r"\*|https?://[a-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?"
)


def is_loopback(host: str) -> bool:
    """Whether a server on this host can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


# libpq allows `host1:5432,host2:5432`; SQLAlchemy needs `?host=host1:5432&host=host2:5432`.
HOST_LIST = re.compile(
    r"(?P<before>://(?:[^/?#]*@)?)(?P<hosts>[^/?#@,]*(?:,[^/?#@,]*)+)(?P<path>/[^?#]*)?(?:\?|$)"
)


def _as_query(match: re.Match[str]) -> str:
    hosts = "&".join(f"host={host}" for host in match["hosts"].split(","))
    return f"{match['before']}{match['path'] or '/'}?{hosts}&"


class DatabaseUrl(fields.Field[URL]):
    """A Postgres URL in any usual form (`postgres://`, `postgresql://`), for psycopg2."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> URL:  # noqa: ARG002
        expected = "expected postgresql://user:password@host/database"
        try:
            url = make_url(HOST_LIST.sub(_as_query, value))
        except (ArgumentError, ValueError) as exc:
            raise ValidationError(expected) from exc
        if url.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
            raise ValidationError(f"{expected}, not {url.drivername!r}")
        try:
            make_dsn(**dict.fromkeys(url.query, ""))
        except ProgrammingError as exc:  # its text quotes the option, which may be a password part
            raise ValidationError(
                f"{expected}; after '?' only options of libpq are allowed, such as sslmode=require"
            ) from exc
        return url.set(drivername="postgresql+psycopg2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Settings of a provider's API. Without `base_url` the URL of the `plan` is used."""

    base_url: str | None
    api_key: str | None = field(repr=False)
    plan: str | None
    requests_per_minute: int
    requests_per_month: int


def _one_of(*choices: str) -> validate.OneOf:
    return validate.OneOf(choices, error="{input!r} is not one of {choices}")


class _Variables(Schema):
    """The variables that `worker/README.md` and `api/deployment.md` document."""

    class Meta:
        unknown = EXCLUDE

    database_url = DatabaseUrl(data_key="DATABASE_URL", load_default=None)
    api_database_url = DatabaseUrl(data_key="API_DATABASE_URL", load_default=None)
    csv_path = fields.String(data_key="CSV_PATH", load_default=None)
    identity_path = fields.String(data_key="IDENTITY_PATH", load_default=str(IDENTITY_FILES))
    sources = fields.Method(data_key="SOURCES", deserialize="split_sources", load_default=SOURCES)
    batch_size = fields.Integer(
        data_key="BATCH_SIZE", load_default=1000, validate=validate.Range(1, 100_000)
    )
    run_interval_seconds = fields.Integer(
        data_key="RUN_INTERVAL_SECONDS", load_default=300, validate=validate.Range(1)
    )
    fail_after_n_records = fields.Integer(
        data_key="FAIL_AFTER_N_RECORDS", load_default=None, validate=validate.Range(1)
    )
    raw_retention_days = fields.Integer(
        data_key="RAW_RETENTION_DAYS", load_default=None, validate=validate.Range(1, 36500)
    )
    reject_retention_days = fields.Integer(
        data_key="REJECT_RETENTION_DAYS", load_default=None, validate=validate.Range(1, 36500)
    )
    fault = fields.Method(data_key="FAULT", deserialize="read_fault", load_default=None)
    environment = fields.String(
        data_key="ENVIRONMENT", load_default=None, validate=_one_of(*ENVIRONMENTS)
    )
    log_level = fields.String(
        data_key="LOG_LEVEL",
        load_default="INFO",
        validate=_one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    log_format = fields.String(
        data_key="LOG_FORMAT", load_default=None, validate=_one_of("json", "console")
    )
    api_host = fields.String(data_key="API_HOST", load_default="127.0.0.1")
    api_port = fields.Integer(
        data_key="API_PORT", load_default=8000, validate=validate.Range(1, 65_535)
    )
    metrics_host = fields.String(data_key="METRICS_HOST", load_default="127.0.0.1")
    metrics_port = fields.Integer(
        data_key="METRICS_PORT", load_default=None, validate=validate.Range(1, 65_535)
    )
    api_cache_mb = fields.Integer(
        data_key="API_CACHE_MB", load_default=32, validate=validate.Range(0, 100_000)
    )
    api_rate_limit = fields.String(
        data_key="API_RATE_LIMIT",
        load_default=None,
        validate=validate.Regexp(
            re.compile(f"(?:{RATE_LIMIT.pattern})$"),
            error=f"expected off, or a number of requests as in {PUBLIC_RATE_LIMIT} "
            "(second, minute, hour or day)",
        ),
    )
    api_rate_limit_storage = fields.String(
        data_key="API_RATE_LIMIT_STORAGE",
        load_default=None,
        validate=validate.Regexp(r"redis(s|\+unix)?://", error="expected redis://host:port/number"),
    )
    api_keys_required = fields.Boolean(data_key="API_KEYS_REQUIRED", load_default=False)
    api_trusted_proxies = fields.Integer(
        data_key="API_TRUSTED_PROXIES", load_default=0, validate=validate.Range(0, 10)
    )
    api_trusted_prefix = fields.Boolean(data_key="API_TRUSTED_PREFIX", load_default=False)
    api_client_threads = fields.Integer(
        data_key="API_CLIENT_THREADS", load_default=3, validate=validate.Range(1, 4)
    )
    api_past_at_once = fields.Integer(
        data_key="API_PAST_AT_ONCE", load_default=2, validate=validate.Range(1, 4)
    )
    api_export_seconds = fields.Integer(
        data_key="API_EXPORT_SECONDS", load_default=300, validate=validate.Range(1, 86_400)
    )
    api_export_min_kib_per_second = fields.Integer(
        data_key="API_EXPORT_MIN_KIB_PER_SECOND",
        load_default=64,
        validate=validate.Range(1, 1_000_000),
    )
    api_cors_origins = fields.Method(
        data_key="API_CORS_ORIGINS", deserialize="split_origins", load_default=()
    )

    @pre_load
    def upper_log_level(self, data: Mapping[str, str], **_: Any) -> dict[str, str]:
        changed = dict(data)
        if "LOG_LEVEL" in changed:
            changed["LOG_LEVEL"] = changed["LOG_LEVEL"].upper()
        return changed

    def split_sources(self, value: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        unknown = sorted(set(names) - set(SOURCES))
        if unknown or not names:
            raise ValidationError(f"{value!r}: expected some of {','.join(SOURCES)}")
        return names

    def split_origins(self, value: str) -> tuple[str, ...]:
        origins = tuple(origin.strip().lower() for origin in value.split(",") if origin.strip())
        wrong = [origin for origin in origins if not ORIGIN.fullmatch(origin)]
        if wrong or not origins or ("*" in origins and len(origins) > 1):
            raise ValidationError(
                f"{value!r}: expected *, or origins as in https://app.example.com,http://localhost:3000"
            )
        return origins

    def read_fault(self, value: str) -> Fault:
        point, _, batch = value.partition(":")
        if point not in FAULT_POINTS:
            raise ValidationError(f"{value!r}: expected one of {', '.join(FAULT_POINTS)}")
        if batch and not re.fullmatch("[1-9][0-9]*", batch, re.ASCII):
            raise ValidationError(f"{value!r}: expected the number of a batch, as in {point}:3")
        return Fault(point, int(batch or 1))

    @post_load
    def check_trusted_prefix(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        if loaded["api_trusted_prefix"] and not loaded["api_trusted_proxies"]:
            raise ValidationError(
                {"API_TRUSTED_PROXIES": ["is not set, but API_TRUSTED_PREFIX requires it"]}
            )
        return loaded

    @post_load
    def forbid_faults_in_production(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        faults = {"FAULT": loaded["fault"], "FAIL_AFTER_N_RECORDS": loaded["fail_after_n_records"]}
        refused = ["not allowed if ENVIRONMENT is 'production'; unset it"]
        if loaded["environment"] == "production" and any(faults.values()):
            raise ValidationError({name: refused for name, set_ in faults.items() if set_})
        return loaded

    @post_load
    def set_default_rate_limit(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        if loaded["api_rate_limit"] is None:
            is_private = is_loopback(loaded["api_host"]) and not loaded["api_trusted_proxies"]
            loaded["api_rate_limit"] = None if is_private else PUBLIC_RATE_LIMIT
        elif loaded["api_rate_limit"] == "off":
            loaded["api_rate_limit"] = None
        return loaded

    @post_load
    def read_providers(self, loaded: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Group the variables of each provider; a key requires a plan, and a plan a key."""
        providers, wrong = {}, {}
        for provider in PROVIDERS:
            names = (each.name for each in dataclasses.fields(ProviderSettings))
            own = {name: loaded.pop(f"{provider.name}_{name}", None) for name in names}
            variable = provider.name.upper()
            if provider.plans and own["plan"] and not own["api_key"]:
                wrong[f"{variable}_API_KEY"] = [f"is not set, but {variable}_PLAN requires it"]
            if provider.plans and own["api_key"] and not own["plan"]:
                plans = " or ".join(provider.plans)
                message = f"is not set, but {variable}_API_KEY requires it; expected {plans}"
                wrong[f"{variable}_PLAN"] = [message]
            providers[provider.name] = ProviderSettings(**own)
        if wrong:
            raise ValidationError(wrong)
        return {**loaded, "providers": providers}


def _variables_of(provider: Provider) -> dict[str, fields.Field[Any]]:
    name, variable = provider.name, provider.name.upper()
    plan = fields.String(
        data_key=f"{variable}_PLAN", load_default=None, validate=_one_of(*provider.plans)
    )
    return {
        f"{name}_base_url": fields.Url(
            data_key=f"{variable}_BASE_URL", load_default=None, require_tld=False
        ),
        f"{name}_api_key": fields.String(data_key=f"{variable}_API_KEY", load_default=None),
        **({f"{name}_plan": plan} if provider.plans else {}),
        f"{name}_requests_per_minute": fields.Integer(
            data_key=f"{variable}_REQUESTS_PER_MINUTE",
            load_default=provider.requests_per_minute,
            validate=validate.Range(1),
        ),
        f"{name}_requests_per_month": fields.Integer(
            data_key=f"{variable}_REQUESTS_PER_MONTH",
            load_default=provider.requests_per_month,
            validate=validate.Range(1),
        ),
    }


Environment = _Variables.from_dict(
    {name: field for each in PROVIDERS for name, field in _variables_of(each).items()},
    name="Environment",
)
"""The schema of all variables, including those of each provider in the catalogue."""
