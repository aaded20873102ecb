# One place for what people do with this tree. Every target sets up .venv by itself, once per change of
# pyproject.toml or constraints.txt; all it needs is make, git and Python 3.11 or newer.
#
#   make demo               meters a real proxy log and serves the result     (ARGS=--exit ends after showing it)
#   make quick              the tests that open no engine and start no program, with a sample of each campaign
#   make test               all tests, a process for each core                (ARGS='-k balance' passes options on)
#   make soak               the long campaigns, ten times as long             (SOAK=50 longer, ARGS='--minutes 60' bounds)
#   make check              format, lint, types, import contract, generated docs and code, known vulnerabilities
#   make bench              speed against the raw engine, in one run          (ARGS=... goes to the bench)
#   make fmt docs clean     write what `check` would complain about; forget .venv
#   make hooks              let git format and lint what you commit, before it does
#   make PYTHON=python3.12  takes another interpreter than the first one found that is new enough

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# An absolute path would bind the tree to this machine: whatever name answers first with a Python that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)
ARGS ?=
SOAK ?= 10

.PHONY: help demo quick test soak check bench fmt docs hooks clean setup
.DEFAULT_GOAL := help

help:
	@sed -n '4,12s/^# *//p' Makefile

demo: setup
	@$(BIN)/flowtally demo $(ARGS)

# The tests of one file stay in one process and in their order: some start a server once, some tell one story. Long
# files go first (conftest.py), so that no process waits at the end; pytest-xdist would order them by their number.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

quick: setup
	FLOWTALLY_TEST_SAMPLE=1 $(BIN)/python -m pytest $(PARALLEL) -m quick $(ARGS)

test: setup
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

soak: setup
	FLOWTALLY_TEST_SOAK=$(SOAK) $(BIN)/python -m pytest $(PARALLEL) -m soak $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/docs.py --check
	$(BIN)/python scripts/audit.py

bench: setup
	$(BIN)/python -m bench $(ARGS)

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python scripts/docs.py

hooks: setup
	git config core.hooksPath scripts/hooks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

setup: $(READY)

# The stamp is written last, so an interrupted set-up is simply done again.
$(READY): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo 'flowtally needs Python 3.11 or newer, and none was found. Say where it is: make PYTHON=/path/to/python3' >&2; exit 1; fi
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "flowtally needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo 'Setting up $(VENV): a minute or two, once.'
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1 \
		|| { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) >/dev/null 2>&1; } || { rm -rf $(VENV); \
		echo '$(PYTHON) cannot make virtual environments (its "venv" or "ensurepip" module is missing).' >&2; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv. Or say another Python: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
		-r constraints.txt || { echo 'Set-up failed; what pip said is above. `make` tries again from here.' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-build-isolation -e '.[dev]' || { \
		echo 'Set-up failed: pyproject.toml asks for what constraints.txt does not hold. Its head says how to renew it.' >&2; exit 1; }
	@touch $(READY)
