"""How an agent is watched: by systemd (`notify`), by Prometheus (`metrics`, served by `door`), and before it starts
(`check`)."""
