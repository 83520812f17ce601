"""The settings, read once from the environment at the start."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from marshmallow import ValidationError
from sqlalchemy.engine import URL

from shared.environment import Environment, ProviderSettings
from shared.errors import ConfigurationError
from shared.model.faults import Fault


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. A database URL of None means the embedded database."""

    database_url: URL | None
    api_database_url: URL | None
    providers: Mapping[str, ProviderSettings]
    """By the name of the provider."""
    csv_path: str | None
    identity_path: str
    sources: tuple[str, ...]
    batch_size: int
    run_interval_seconds: int
    fail_after_n_records: int | None
    fault: Fault | None
    raw_retention_days: int | None
    reject_retention_days: int | None
    environment: str | None
    log_level: str
    log_format: str | None
    api_host: str
    api_port: int
    metrics_host: str
    metrics_port: int | None
    api_cache_mb: int
    api_rate_limit: str | None
    api_rate_limit_storage: str | None
    api_keys_required: bool
    api_trusted_proxies: int
    api_trusted_prefix: bool
    api_client_threads: int
    api_past_at_once: int
    api_export_seconds: int
    api_export_min_kib_per_second: int
    api_cors_origins: tuple[str, ...]

    @classmethod
    def from_env(cls, environ: Mapping[str, str], dotenv: Path | None = None) -> "Settings":
        """Read the environment and, for unset variables, the `dotenv` file.

        Raises:
            ConfigurationError: variables are invalid; the message names all of them and what was
                expected, but never a value that may be a secret.
        """
        values = dict(dotenv_values(dotenv)) if dotenv else {}
        values.update(environ)
        present = {name: value for name, value in values.items() if value}
        try:
            loaded: dict[str, Any] = Environment().load(present)
        except ValidationError as exc:
            raise ConfigurationError(
                "; ".join(
                    f"{name}: {' '.join(_sentences(reasons))}"
                    for name, reasons in dict(exc.normalized_messages()).items()  # type: ignore[no-untyped-call]
                )
            ) from exc
        return cls(**loaded)

    def replace(self, **changes: Any) -> "Settings":
        """Return these settings with the changes that are not None."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})


def _sentences(reasons: Any) -> list[str]:
    """Flatten marshmallow's messages, which are nested for lists."""
    if isinstance(reasons, dict):
        return [text for nested in reasons.values() for text in _sentences(nested)]
    return [str(reason).rstrip(".") for reason in reasons]
