"""The API where anybody may come: keys that are made, used and revoked while it runs."""

import socket
from urllib.parse import urlencode

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


def test_a_browser_signs_in_however_its_form_arrives(reader_url, tmp_path, worker):
    with serving(reader_url, tmp_path, API_KEYS_REQUIRED="true") as gunicorn:
        key = worker("api-keys create browser").stdout.strip()
        form = urlencode({"key": key, "next": "/dashboard/divergent"}).encode()
        head = (
            "POST /dashboard/sign-in HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        ).encode()

        for segments in ([head + form], [head, form], [head + form[:9], form[9:]]):
            answer = send_in_segments(gunicorn, segments)
            assert answer.startswith(b"HTTP/1.1 303 "), segments
            assert b"\r\nLocation: /dashboard/divergent\r\n" in answer


def send_in_segments(gunicorn, segments):
    """Send a request; the server has read each segment before the next is sent."""
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=GIVE_UP) as client:
        for segment in segments:
            client.sendall(segment)
            for _ in range(10):  # the event loops of both processes have certainly turned
                gunicorn.get("/health/live")
        with client.makefile("rb") as file:
            return file.read()


def test_a_storage_that_cannot_be_used_ends_it_with_a_sentence(reader_url, tmp_path):
    storage = "redis://:secret@localhost:none/0"
    gunicorn = Gunicorn(str(reader_url), tmp_path, API_RATE_LIMIT_STORAGE=storage)

    assert gunicorn.process.wait(GIVE_UP) == 2
    said = gunicorn.log.read_text()
    assert said.startswith("API_RATE_LIMIT_STORAGE cannot be used; ")
    assert "secret" not in said
    assert "Traceback" not in said
