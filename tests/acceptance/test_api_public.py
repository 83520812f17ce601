"""The API where anybody may come: keys that are made, used and revoked while it runs."""

import pytest

from shared.model.keys import KEY
from tests.fakes.api import add_asset
from tests.fakes.gunicorn import GIVE_UP, Gunicorn, serving, until
from tests.fakes.processes import environ, run_worker


@pytest.fixture
def worker(database_url, tmp_path):
    return lambda arguments: run_worker(arguments, environ(database_url), tmp_path)


def test_a_key_works_in_every_process_from_its_making_to_its_end(
    engine, reader_url, tmp_path, worker
):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")
    public = {"API_KEYS_REQUIRED": "true", "API_RATE_LIMIT": "1000/hour", "API_CORS_ORIGINS": "*"}

    with serving(reader_url, tmp_path, **public) as gunicorn:
        made = worker("api-keys create page --expires-in-days 1")
        key = made.stdout.removesuffix("\n")
        assert KEY.fullmatch(key), made.stderr
        headers = {"Authorization": f"Bearer {key}", "Origin": "https://app.example.com"}

        for _ in range(20):
            answer = gunicorn.get("/data", headers=headers)
            assert answer.json()["data"][0]["slug"] == "bitcoin"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert gunicorn.get("/data").status_code == 401
        assert answer.headers["RateLimit"].startswith('"default";r=980;')  # this key's own

        assert worker("api-keys revoke page").returncode == 0
        until(
            lambda: {gunicorn.get("/data", headers=headers).status_code for _ in range(20)} == {401}
        )

    assert key not in gunicorn.log.read_text() + made.stderr


def test_a_storage_that_cannot_be_used_ends_it_with_a_sentence(reader_url, tmp_path):
    storage = "redis://:secret@localhost:none/0"
    gunicorn = Gunicorn(str(reader_url), tmp_path, API_RATE_LIMIT_STORAGE=storage)

    assert gunicorn.process.wait(GIVE_UP) == 2
    said = gunicorn.log.read_text()
    assert said.startswith("API_RATE_LIMIT_STORAGE cannot be used; ")
    assert "secret" not in said
    assert "Traceback" not in said
