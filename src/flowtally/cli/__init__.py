"""The command line: everything a person does with flowtally from a terminal.

Owns words, tables, charts and exit codes. Knows no store: `serve` and `demo` start the server, all other commands ask
it over HTTP through `flowtally.client`.
"""
