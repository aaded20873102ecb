"""Syslog over TCP: taken from a socket, spooled, and then read as a log.

`frames` (where a message ends) -> `listener` (the sockets, a thread) -> `spool` (the disk) -> `feed` (lines for who
sends them). What a message's head says is an envelope of `formats`.
"""
