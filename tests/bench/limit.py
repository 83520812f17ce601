"""The limit: plain COPY of the same payloads into a table with the raw table's columns and key.

    python -m tests.bench.limit URL BATCH_SIZE FILE...

Each batch is a transaction, as with the worker. The lines are written beforehand, so that nothing
but COPY and COMMIT is timed.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import psycopg2

from tests.bench.measure import report
from tests.bench.payloads import read_lines

COLUMNS = "observed_at, external_id, payload_hash, run_id, payload"


def main(url: str, batch_size: int, files: Sequence[Path]) -> None:
    lines = [line for file in files for line in _copy_lines(file)]
    starts = range(0, len(lines), batch_size)
    batches = [b"".join(lines[start : start + batch_size]) for start in starts]
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE raw_limit (LIKE raw_coingecko INCLUDING ALL)")
        connection.commit()
        started = time.perf_counter()
        for batch in batches:
            cursor.copy_expert(f"COPY raw_limit ({COLUMNS}) FROM STDIN", BytesIO(batch), len(batch))
            connection.commit()
        report(len(lines), time.perf_counter() - started)


def _copy_lines(file: Path) -> Iterator[bytes]:
    for payload in read_lines(file):
        document = json.loads(payload)
        digest = sha256(payload).hexdigest()[:32]
        key = f"{document['last_updated']}\t{document['id']}\t\\\\x{digest}\t1\t"
        yield key.encode() + payload.replace(b"\\", b"\\\\") + b"\n"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
