# The project's interface. `make run` needs Python 3.11 or later and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VAR ?= var
# Stamps are named after the content of the lists, so that a later start looks at one file name and goes on.
RUN_STAMP := $(VENV)/.run-$(shell cat requirements.txt | cksum | cut -d' ' -f1)
DEV_STAMP := $(VENV)/.dev-$(shell cat requirements.txt requirements-dev.txt | cksum | cut -d' ' -f1)
PIP_FLAGS := --quiet --quiet --disable-pip-version-check --require-hashes
TESTS ?= tests
# Two workers halve the time on two cores; one test process asks for less memory and gives plainer output.
WORKERS ?= 2

.PHONY: help run test lint bench demo fmt requirements clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

run: $(RUN_STAMP)  ## everything a trader needs, on this machine; prints one address to open
	@exec $(BIN)/python manage.py up $(ARGS)

demo: $(RUN_STAMP)  ## the whole path once, without a browser
	@$(BIN)/python manage.py demo $(ARGS)

test: $(DEV_STAMP)  ## all tests on SQLite, then on PostgreSQL where one answers
	@BIN=$(BIN) WORKERS=$(WORKERS) TESTS="$(TESTS)" sh tests/run.sh $(ARGS)

lint: $(DEV_STAMP)  ## ruff, mypy --strict, import directions, migrations, check --deploy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/architecture/test_imports.py tests/architecture/test_one_door.py
	$(BIN)/python manage.py makemigrations --check --dry-run
	@BIN=$(BIN) sh tests/check_deploy.sh

fmt: $(DEV_STAMP)  ## formats the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)  ## every benchmark, figures as JSON lines
	@for script in benchmarks/[a-z]*.py; do echo "== $$script" >&2; PYTHONPATH=. $(BIN)/python $$script || exit 1; done

requirements: $(DEV_STAMP)  ## compiles the pinned lists from the short ones
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command "make requirements" requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command "make requirements" requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command "make requirements" requirements-kite.in -o requirements-kite.txt

clean:  ## removes the environment and caches; the data in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "SigmaTrader needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.txt | $(VENV)/bin/python
	@echo "Installing what SigmaTrader runs on (once) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -r requirements.txt
	@rm -f $(VENV)/.run-* && touch $@

$(DEV_STAMP): requirements.txt requirements-dev.txt | $(RUN_STAMP)
	@echo "Installing what tests and checks need (once) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -r requirements.txt -r requirements-dev.txt
	@rm -f $(VENV)/.dev-* && touch $@
