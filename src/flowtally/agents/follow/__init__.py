"""Logs followed while they are written, without state of one's own: see README.md beside this file."""
