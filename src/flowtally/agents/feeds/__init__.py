"""Inputs of the agent that are no files of a program's, the journal and syslog over TCP: see README.md."""
