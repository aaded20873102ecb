"""Programs beside a proxy or a web server: they read logs and send what was used to the server through `client`.

A log line goes one way: `reader` (bytes) -> a format (`squid`, `combined`, `cloudevents`: a `Reading`) -> `mapping`
(whose it is: an `Entry`) -> `ship` (numbered events, batches, position). No database, no framework, no config here.
"""
