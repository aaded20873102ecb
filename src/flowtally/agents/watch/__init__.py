"""How an agent is watched, by systemd, by Prometheus, and before it starts: see README.md beside this file."""
