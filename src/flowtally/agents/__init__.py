"""Programs beside a proxy or a web server: they read logs and send what was used to the server through `client`.

A log line goes one way: `reader` (bytes) -> `formats` (what the line says: a `Reading`) -> `mapping` (whose it is: a
`Reading` with an account) -> `sending` (numbered events, batches, position). `ship` does so to a log's end; `follow`
while it is written, `feeds` from the journal and from syslog, `watch` shows how they are doing, `recipes` say what a
program must log. No database, no framework, no config here.
"""
