"""How an agent is watched: by systemd (`host.notify`), by Prometheus (`metrics`, served by `door`), and before it
starts (`check`)."""
