"""The limit: plain COPY of the same payloads into a table with the raw table's columns and key.

    python -m tests.bench.limit URL PLAN

The new records of the plan's first pass alone. Each batch is a transaction, as with the worker. The
lines are written beforehand, so that nothing but COPY and COMMIT is timed.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import psycopg2

from shared.settings import Settings
from tests.bench.clock import Clock
from tests.bench.payloads import read_lines
from tests.bench.plans import read_plan

BATCH_SIZE = Settings.from_env({}).batch_size
COLUMNS = "observed_at, external_id, payload_hash, run_id, payload"


def main(url: str, plan: Path) -> None:
    first = read_plan(plan)[0]
    lines = [line for _, file in first.snapshots for line in _copy_lines(Path(file))]
    starts = range(0, len(lines), BATCH_SIZE)
    batches = [b"".join(lines[start : start + BATCH_SIZE]) for start in starts]
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE raw_limit (LIKE raw_coingecko INCLUDING ALL)")
        connection.commit()
        clock = Clock(url)
        with clock:
            for batch in batches:
                copy = f"COPY raw_limit ({COLUMNS}) FROM STDIN"
                cursor.copy_expert(copy, BytesIO(batch), len(batch))
                connection.commit()
        clock.report(first.name, len(lines))


def _copy_lines(file: Path) -> Iterator[bytes]:
    for payload in read_lines(file):
        document = json.loads(payload)
        digest = sha256(payload).hexdigest()[:32]
        key = f"{document['last_updated']}\t{document['id']}\t\\\\x{digest}\t1\t"
        yield key.encode() + payload.replace(b"\\", b"\\\\") + b"\n"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
