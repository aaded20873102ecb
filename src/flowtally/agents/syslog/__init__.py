"""Syslog over TCP, taken from a socket, spooled, and then read as a log: see README.md beside this file."""
