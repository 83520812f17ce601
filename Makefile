# Needs make, and Python 3.11 or newer with its venv module. Everything else is installed into .venv.
.DEFAULT_GOAL := help
.PHONY: help run install up down logs test test-slow bench screenshots check lint types imports fmt clean

PIP := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PARALLEL := --numprocesses=4 --dist=worksteal
PINS := pyproject.toml constraints.txt
BENCHES := identity ingest api history glitches

help: ## Show this help (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/.runs ## Start the database, the worker and the API here; Ctrl-C stops them (API_PORT=8001 for another port)
	@exec .venv/bin/python -m worker local

install: .venv/.runs ## Create .venv; .venv/bin/worker works then

up: .env ## Build and start the containers (needs Docker with Compose)
	@docker compose build
	@docker compose stop worker  # nothing may be loaded while the schema changes
	@docker compose up --detach
	@echo "starting the API on http://127.0.0.1:$${API_PORT:-8000}; make logs follows the logs, make down stops the containers"

down: ## Stop the containers; their data stays
	@docker compose down

logs: ## Follow the logs of the containers
	@docker compose logs --follow --tail=100

# The many processes of the tests read compiled files, whatever the caller's environment says.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

test: .venv/.tests ## Run the tests, on a real embedded PostgreSQL; T= narrows (T=tests/unit, T="-k csv")
	@.venv/bin/python -m pytest $(or $(T),$(PARALLEL))

test-slow: .venv/.tests ## Run the long tests: random kills, all crash points, more generated input; T= narrows
	@HYPOTHESIS_PROFILE=thorough .venv/bin/python -m pytest -m "slow or property" --timeout=900 $(or $(T),$(PARALLEL))

bench: .venv/.tests .local/bench-venv/.runs ## Run the benchmarks; B= selects: B=identity, B=ingest (loading), B=api, B=history (the past), B=glitches (a wrong snapshot)
	@set -e; for bench in $(or $(B),$(BENCHES)); do .venv/bin/python -m tests.bench.$$bench; done

screenshots: .venv/.tests ## Take the screenshots of the README again (needs chromium and chromium-driver)
	@.venv/bin/python -m tests.browser.screenshots

check: lint types imports test test-slow ## Run what CI runs, except the containers

lint: .venv/.tests ## Check the code and its format
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .

types: .venv/.tests ## Check the types
	@.venv/bin/python -m mypy

imports: .venv/.tests ## Check the import contracts
	@.venv/bin/lint-imports

fmt: .venv/.tests ## Format, and fix what can be fixed
	@.venv/bin/python -m ruff check --fix .
	@.venv/bin/python -m ruff format .

clean: ## Delete what was installed and built; the data in .local stays
	@rm -rf .venv .local/bench-venv build dist *.egg-info
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find api migrations shared tests worker -name __pycache__ -prune -exec rm -rf {} +

# Uses the first suitable Python, or only PYTHON if it is set.
.venv/bin/pip:
	@new=; for python in $${PYTHON:-python3.13 python3.12 python3.11 python3}; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  new=$$python; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	  echo "creating .venv with $$("$$python" --version)"; \
	  exec "$$python" -m venv .venv; \
	done; \
	if [ -n "$$new" ]; then \
	  echo "$$new cannot create .venv: its venv module is not installed; on Debian and Ubuntu: apt install $$("$$new" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; \
	else \
	  echo "Python 3.11 or newer not found; install it, or set its path: make PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 1

.venv/.runs: $(PINS) | .venv/bin/pip
	@echo "installing the program's packages (once)"
	@.venv/bin/python $(PIP) --editable '.[local]'
	@touch $@

.venv/.tests: $(PINS) | .venv/bin/pip
	@echo "installing the packages of the program and its tests (once)"
	@.venv/bin/python $(PIP) --editable '.[local,dev]'
	@touch .venv/.runs $@

# Programs that read the API in tests/clients; without them these tests are skipped.
.venv/.clients: $(PINS) | .venv/.tests
	@echo "installing the clients that the API is tested with (once)"
	@.venv/bin/python $(PIP) --editable '.[local,dev,clients]'
	@touch $@

# dlt and FastAPI are measured in a separate environment, because the program does not need them.
.local/bench-venv/.runs: $(PINS) | .venv/bin/pip
	@echo "installing the packages that the benchmark compares with (once)"
	@mkdir -p .local
	@.venv/bin/python -m venv .local/bench-venv
	@.local/bench-venv/bin/python $(PIP) 'dlt[postgres]' fastapi sqlalchemy 'uvicorn[standard]'
	@touch $@

# Passwords have no default: a missing one is generated and stays on this machine.
.PHONY: .env
.env:
	@command -v docker >/dev/null || { echo "make up needs Docker with Compose; make run needs neither" >&2; exit 1; }
	@[ -e .env ] || (umask 077 && : >.env)
	@for name in DB_OWNER_PASSWORD DB_READER_PASSWORD; do \
	  grep -q "^$$name=." .env && continue; \
	  [ -z "$$(tail -c 1 .env)" ] || echo >>.env; \
	  echo "$$name=$$(od -A n -N 24 -t x1 /dev/urandom | tr -d ' \n')" >>.env; \
	done
