"""CSV files: a file, a folder or a glob."""

from worker.sources.csv.source import CsvFiles

__all__ = ["CsvFiles"]
