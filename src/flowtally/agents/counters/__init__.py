"""Counters of programs, polled and sent as readings: `POST /v1/readings` stores the differences.

One poll goes one way: a kind asks its program once (`v2ray`, `haproxy`, `nftables`), a pure parser makes of the answer
what each counter stood at (`Stood`), `naming` says whose it is, `poller` sends it. Programs are never told to reset
anything, and nothing is kept: what was counted before is the server's to know, so a lost answer, a restart or a second
poller costs and doubles nothing.
"""
