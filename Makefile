# umtrace. `make demo` shows it, `make test` checks it; each sets up what it needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: $(STAMP) ## Make .venv over the system's python3 and its bcc, with .venv/bin/umtrace

$(STAMP): pyproject.toml scripts/setup
	@scripts/setup $(VENV)
	@touch $@

.PHONY: demo
demo: setup ## Record real umounts and show what they cost (a bundled recording without root)
	@scripts/demo $(BIN)/umtrace

.PHONY: test
test: setup check test-kernel ## Everything CI runs

.PHONY: check
check: setup lint unit ## The everyday part: lint, types, unit tests; under two minutes

.PHONY: lint
lint: setup ## Style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: unit
unit: setup ## Tests that need neither root nor BPF
	$(PYTEST) -q -m "not kernel and not lab and not slow"

.PHONY: test-kernel
test-kernel: setup ## Tests on the running kernel (root), and the slow ones
	$(PYTEST) -q -m "(kernel or slow) and not lab"

.PHONY: format
format: setup ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove what the targets made, .venv included
	rm -rf $(VENV) demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
