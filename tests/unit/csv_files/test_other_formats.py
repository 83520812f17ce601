"""Files in another format, or quoted as one column, are refused with the format in the message."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from tests.fakes.csv_files import SavedFile

CONTENT = b"date,symbol,name,price_usd\n2024-05-01,BTC,Bitcoin,1.5\n"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("prices.csv", CONTENT)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(CONTENT), "compressed with gzip; unpack it"),
        (bz2.compress(CONTENT), "compressed with bzip2"),
        (lzma.compress(CONTENT), "compressed with xz"),
        (zipped(), "a zip archive, or a workbook such as .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "a web page (HTML)"),
        (b'[{"symbol": "BTC"}]', "JSON"),
        (b'{"error": "limit"}', "JSON"),
    ],
    # Archives hold the time at which they were made: ids of their bytes differ between processes.
    ids=["gzip", "bzip2", "xz", "zip", "xls", "parquet", "html", "json-list", "json-object"],
)
def test_a_file_of_another_format_is_named_as_such(tmp_path, content, what):
    error = SavedFile(tmp_path, content).refusal()

    assert error.code == "not_csv"
    assert f"is not a CSV file but {what}" in str(error)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_lines_that_are_in_quotes_as_a_whole_are_named_as_such(tmp_path, delimiter):
    lines = CONTENT.decode().replace(",", delimiter).splitlines()

    error = SavedFile(tmp_path, "".join(f'"{line}"\n' for line in lines)).refusal()

    assert error.code == "not_csv"
    assert "each line is quoted as a whole, and therefore a single cell" in str(error)


def test_a_header_of_one_quoted_name_is_accepted(tmp_path):
    declared = '[values]\nsymbol = "BTC"\nname = "Bitcoin"\nobserved_at = "2024-05-01"\n'

    assert SavedFile(tmp_path, '"price_usd"\n"1.5"\n', declared).prices() == ["1.5"]


def test_a_header_alone_is_to_be_completed(tmp_path):
    error = SavedFile(tmp_path, CONTENT.splitlines(keepends=True)[0]).refusal()

    assert str(error).endswith("has no rows; complete the file")
