"""How an agent is watched: by systemd (`flowtally.notify`), by Prometheus (`metrics`, served by `door`), and before it
starts (`check`)."""
