"""Counters of programs, polled and sent as readings: see README.md beside this file."""
