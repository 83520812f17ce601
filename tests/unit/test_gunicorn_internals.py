"""What the API's worker class relies on in gunicorn, and which no documentation promises.

`api/server/connections.py` overrides methods of `gthread` and uses attributes of it. Where an
upgrade changes one of them, the test says which: compare it with the override, then set its digest.
"""

import hashlib
import inspect

import gunicorn
import pytest
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn, ThreadWorker

RELIED_ON = {
    (ThreadWorker, "init_process"): "e4fc63a1a68e",
    (ThreadWorker, "get_thread_pool"): "003f3549a71b",
    (ThreadWorker, "set_accept_enabled"): "140150ebfd3c",
    (ThreadWorker, "accept"): "f8dcead3dce5",
    (ThreadWorker, "on_client_socket_readable"): "aead1a3ea7b7",
    (ThreadWorker, "murder_keepalived"): "4459960c4ccc",
    (ThreadWorker, "murder_pending"): "7bf11f464542",
    (ThreadWorker, "wait_for_and_dispatch_events"): "ea969b352482",
    (ThreadWorker, "run"): "f92c7394d857",
    (ThreadWorker, "_cap_keepalive"): "745c8ac37108",
    (ThreadWorker, "finish_request"): "616e7bb15a00",
    (ThreadWorker, "handle"): "ca85c9be3df7",
    (ThreadWorker, "_keepalive_after"): "4ebdbbc8bf5a",
    (ThreadWorker, "handle_request"): "6d0de5b91910",
    (TConn, "__init__"): "c8763d7c6597",
    (TConn, "init"): "5ff3d4ba451c",
    (TConn, "set_timeout"): "03938b63c8bb",
    (TConn, "close"): "6d1c334ed197",
    (Unreader, "take_buffered"): "89cef5e60e6f",
    (Unreader, "unread"): "8e325744dfca",
}
"""The first digits of the SHA-256 of each one's source, in gunicorn 27.0.1."""


@pytest.mark.parametrize(
    ("owner", "name", "digest"),
    [(*place, digest) for place, digest in RELIED_ON.items()],
    ids=[f"{owner.__name__}.{name}" for owner, name in RELIED_ON],
)
def test_gunicorn_has_what_the_worker_class_relies_on(owner: type, name: str, digest: str):
    source = inspect.getsource(getattr(owner, name))

    assert hashlib.sha256(source.encode()).hexdigest()[:12] == digest, (
        f"gunicorn {gunicorn.__version__} has another {owner.__name__}.{name}: compare it with "
        "api/server/connections.py, then set the digest"
    )
