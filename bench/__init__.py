"""How fast flowtally is, as ratios between two things measured in one run on one machine.

Owns the measuring: what is compared with what, the processes it takes, the tables. Leaves the targets' reasons to the
design and the meaning of each ratio to docs/benchmarks.md. Run `make bench` or `python -m bench --help`.
"""
