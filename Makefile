# The commands that people and CI use; each installs what it needs into .venv. `make help` lists them.
PYTHON ?= python3
VENV := .venv
CLIENTS := .venv-clients
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install run test test-faults test-clients check format bench lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml requirements/build.txt requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "adjoin needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-tests: $(VENV)/installed requirements/test.txt
	$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

install: $(VENV)/installed ## put the service into .venv
	@$(BIN)/python -m compileall -q src

run: install ## start the service on http://127.0.0.1:8365, data in ./var
	@exec $(BIN)/adjoin serve --data-dir var

# Compiled before, or each of the programs that tests start does it anew where Python may write nothing.
test: install $(VENV)/installed-tests ## run the tests; TESTS="tests/web -k batch" for some
	TMPDIR=$$($(BIN)/python tests/memory.py) $(BIN)/pytest -q -n auto $(or $(TESTS),tests --ignore=tests/faults)

test-faults: $(VENV)/installed-tests ## kill, starve and cut off whole services: nothing acknowledged may be lost
	$(BIN)/pytest -q -n auto tests/faults

$(CLIENTS)/installed: requirements/clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/clients.txt
	@touch $@

test-clients: install $(CLIENTS)/installed ## run the official Microsoft clients against the service (needs node 20; fetches 0.9 GB)
	$(CLIENTS)/bin/pytest -q tests/clients

check: $(VENV)/installed-tests ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/installed-tests ## mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-tests ## measure against peers (needs npm) and the bare server; BENCH=bare, scale or flames for other runs
	$(BIN)/python -m benchmarks $(BENCH)

lock: ## make requirements/*.txt anew from pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip --disable-pip-version-check --quiet install pip-tools
	sh requirements/lock $(VENV)-lock/bin/pip-compile

clean: ## remove .venv and caches; keeps ./var
	rm -rf $(VENV) $(VENV)-lock $(CLIENTS) tests/clients/js/node_modules tests/clients/oidc/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
