"""Media types that we read and write, and the mark that some programs put before UTF-8."""

from __future__ import annotations

from typing import Final

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
PROBLEM: Final = "application/problem+json"
CSV: Final = "text/csv"
PLAIN: Final = "text/plain"
ARROW: Final = "application/vnd.apache.arrow.stream"
FORM: Final = "application/x-www-form-urlencoded"

BOM: Final = b"\xef\xbb\xbf"
