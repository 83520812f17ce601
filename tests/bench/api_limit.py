"""The limit: Flask under the API's own gunicorn settings, which answers the same bytes each time.

    BENCH_BODY=FILE gunicorn --config api/server/gunicorn.conf.py tests.bench.api_limit:app

No database, no log, no headers but its own: what is left is what gunicorn and Flask cost.
"""

import os
from pathlib import Path

from flask import Flask, Response

from api.middleware.keys import Keys

app = Flask(__name__, static_folder=None)
app.extensions["keys"] = Keys()  # by which the API's worker class tells clients apart
BODY = Path(os.environ["BENCH_BODY"]).read_bytes()


@app.get("/data")
def data() -> Response:
    return Response(BODY, content_type="application/json")
