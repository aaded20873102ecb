"""Inputs of the agent that are no files of a program's: the journal, and syslog over TCP.

`feeding` sends what a `Feed` gives, each as one numbered source for ever; `journal` and `syslog` are the feeds and
their entries in the configuration.
"""
