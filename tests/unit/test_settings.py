from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.model.faults import Fault
from shared.settings import Settings


def settings(**environ: str) -> Settings:
    return Settings.from_env(environ)


def test_an_empty_environment_gives_the_declared_defaults():
    defaults = settings()

    assert defaults.database_url is None
    assert defaults.sources == (
        *("csv", "coinpaprika", "coingecko"),
        *("coingecko_coins", "coinpaprika_contracts"),
    )
    assert (defaults.batch_size, defaults.run_interval_seconds) == (1000, 300)
    assert defaults.csv_path is None
    assert (defaults.metrics_host, defaults.metrics_port) == ("127.0.0.1", None)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_a_database_url_is_taken_as_people_write_it(scheme):
    url = settings(DATABASE_URL=f"{scheme}://me:pw@db/market").database_url

    assert url is not None
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg2://me:pw@db/market"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://me:secret@db/market", "expected postgresql://"),
        ("DATABASE_URL", "secret", "expected postgresql://"),
        ("DATABASE_URL", "postgresql://me:pw@db/market?secret=1", "only options of libpq"),
        ("SOURCES", "coingecko,kraken", "expected some of csv,coinpaprika,coingecko"),
        ("BATCH_SIZE", "0", "BATCH_SIZE: "),
        ("BATCH_SIZE", "many", "BATCH_SIZE: "),
        ("COINGECKO_PLAN", "gold", "COINGECKO_PLAN: "),
        ("COINGECKO_PLAN", "pro", "COINGECKO_API_KEY: is not set"),
        ("COINGECKO_API_KEY", "secret", "COINGECKO_PLAN: is not set"),
        ("COINGECKO_BASE_URL", "example", "COINGECKO_BASE_URL: "),
        ("FAIL_AFTER_N_RECORDS", "-3", "FAIL_AFTER_N_RECORDS: "),
        ("FAULT", "after_lunch", "FAULT: 'after_lunch': expected one of before_copy, after_raw, "),
        ("FAULT", "after_raw:0", "FAULT: 'after_raw:0': expected the number of a batch, as in "),
        ("FAULT", "after_raw:²", "FAULT: 'after_raw:²': expected the number of a batch, as in "),
        ("ENVIRONMENT", "prod", "ENVIRONMENT: "),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: "),
        ("API_PORT", "70000", "API_PORT: "),
        ("METRICS_PORT", "0", "METRICS_PORT: "),
        ("API_RATE_LIMIT", "many", "API_RATE_LIMIT: expected off, or a number of requests as in "),
        ("API_RATE_LIMIT", "0/minute", "API_RATE_LIMIT: "),
        ("API_RATE_LIMIT", "5/minute;1/second", "API_RATE_LIMIT: "),
        ("API_RATE_LIMIT_STORAGE", "secret", "API_RATE_LIMIT_STORAGE: expected redis://"),
        ("API_KEYS_REQUIRED", "perhaps", "API_KEYS_REQUIRED: "),
        ("API_TRUSTED_PROXIES", "-1", "API_TRUSTED_PROXIES: "),
        ("API_TRUSTED_PREFIX", "true", "API_TRUSTED_PROXIES: is not set, but API_TRUSTED_PREFIX"),
        ("API_CLIENT_THREADS", "5", "API_CLIENT_THREADS: "),
        ("API_PAST_AT_ONCE", "0", "API_PAST_AT_ONCE: "),
        ("API_EXPORT_SECONDS", "0", "API_EXPORT_SECONDS: "),
        ("API_EXPORT_MIN_KIB_PER_SECOND", "fast", "API_EXPORT_MIN_KIB_PER_SECOND: "),
        ("API_CORS_ORIGINS", "example.com", "API_CORS_ORIGINS: 'example.com': expected *, or "),
        ("API_CORS_ORIGINS", "https://a.test/", "API_CORS_ORIGINS: "),
        ("API_CORS_ORIGINS", "*,https://a.test", "API_CORS_ORIGINS: "),
        ("API_CORS_ORIGINS", "null", "API_CORS_ORIGINS: "),
    ],
)
def test_a_wrong_variable_is_named_with_what_was_expected_and_no_secret(name, value, words):
    with pytest.raises(ConfigurationError) as raised:
        settings(**{name: value})

    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_every_wrong_variable_is_named_at_once():
    with pytest.raises(ConfigurationError, match=r"BATCH_SIZE.*API_PORT"):
        settings(BATCH_SIZE="0", API_PORT="0")


def test_a_fault_is_a_point_and_the_batch_that_it_is_for():
    assert settings(FAULT="after_raw").fault == Fault("after_raw", 1)
    assert settings(FAULT="after_raw:12").fault == Fault("after_raw", 12)


@pytest.mark.parametrize(
    ("name", "value"), [("FAULT", "after_raw"), ("FAIL_AFTER_N_RECORDS", "10")]
)
def test_injected_faults_are_not_allowed_in_production(name, value):
    settings(ENVIRONMENT="staging", **{name: value})

    with pytest.raises(ConfigurationError, match=f"^{name}: not allowed if ENVIRONMENT is"):
        settings(ENVIRONMENT="production", **{name: value})


def test_an_empty_variable_is_an_unset_one():
    assert settings(BATCH_SIZE="", COINGECKO_API_KEY="").batch_size == 1000


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("BATCH_SIZE=10\nAPI_PORT=9000\n")

    read = Settings.from_env({"BATCH_SIZE": "20"}, dotenv)

    assert (read.batch_size, read.api_port) == (20, 9000)


@pytest.mark.parametrize(
    ("environ", "limit"),
    [
        ({}, None),
        ({"API_HOST": "127.0.0.1"}, None),
        ({"API_HOST": "::1"}, None),
        ({"API_HOST": "localhost"}, None),
        ({"API_HOST": "0.0.0.0"}, "1200/minute"),
        ({"API_HOST": "::"}, "1200/minute"),
        ({"API_HOST": "api.internal"}, "1200/minute"),
        ({"API_HOST": "127.0.0.1", "API_TRUSTED_PROXIES": "1"}, "1200/minute"),
        ({"API_HOST": "0.0.0.0", "API_RATE_LIMIT": "off"}, None),
        ({"API_RATE_LIMIT": "5/second"}, "5/second"),
    ],
)
def test_the_rate_limit_defaults_to_on_if_other_machines_can_reach_the_api(environ, limit):
    assert settings(**environ).api_rate_limit == limit


def test_origins_are_a_list_in_lower_case():
    read = settings(API_CORS_ORIGINS="https://App.example.com, http://localhost:3000")

    assert read.api_cors_origins == ("https://app.example.com", "http://localhost:3000")
    assert settings(API_CORS_ORIGINS="*").api_cors_origins == ("*",)
    assert settings().api_cors_origins == ()
