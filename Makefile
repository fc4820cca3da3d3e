# umtrace. `make demo` shows it, `make test` checks it; each sets up what it needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
USER_STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: $(STAMP) ## Make .venv for work on umtrace: over the system's python3 and its bcc

$(STAMP): pyproject.toml scripts/setup
	@scripts/setup $(VENV) dev
	@touch $@ $(USER_STAMP)

$(USER_STAMP): pyproject.toml scripts/setup
	@scripts/setup $(VENV) report
	@touch $@

.PHONY: demo
demo: $(USER_STAMP) ## Record real umounts and show what they cost (a bundled recording without root)
	@scripts/demo $(BIN)/umtrace

.PHONY: test
test: setup check test-slow test-kernel test-lab ## Everything CI runs

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
	$(PYTEST) -q -n auto --maxprocesses 4 -m "not kernel and not lab and not slow"

.PHONY: test-slow
test-slow: setup ## Tests that take longer and need no BPF: real holders, hostile recordings, a short fuzz run
	$(PYTEST) -q -n auto --maxprocesses 4 -m "slow and not kernel and not lab"

.PHONY: test-kernel
test-kernel: setup ## Tests on the running kernel (root)
	$(PYTEST) -q -m "kernel and not lab"

.PHONY: test-lab
test-lab: setup ## Every tier on the oldest, an RT and the newest kernel, under QEMU
	-$(BIN)/python -m lab apt-deps
	$(PYTEST) -q -n 2 --dist loadscope -m "lab and not long"

.PHONY: test-lab-long
test-lab-long: lab-deps ## What takes a guest longer: holders, nested operations, kills, innocence, large hosts
	$(PYTEST) -q -m "lab and long"
	UMTRACE_LAB_KERNELS=5.10,6.12,6.1-rt,7 $(PYTEST) -q tests/lab/test_facts.py

KERNEL ?= 6.12-rt
CMD ?= umtrace selftest
KERNELS ?= 5.10 6.1-rt 7
A ?= 6.12
B ?= 7
LOAD ?=
BENCH_KERNEL ?= 6.12
HELD_KERNELS ?= 5.10 6.12 7
HELD_MOUNTS ?= 600

.PHONY: lab-deps
lab-deps: setup ## Install what the lab needs on this host (root)
	$(BIN)/python -m lab apt-deps

.PHONY: lab-setup
lab-setup: lab-deps ## Fetch and prepare the kernels KERNELS='5.10 6.1-rt 7'
	$(BIN)/python -m lab setup $(KERNELS)

.PHONY: lab
lab: export CMD := $(CMD)
lab: lab-deps ## Boot one kernel, or that of a build tree, and run a command: make lab KERNEL=6.12-rt|/PATH CMD='umtrace doctor'
	$(BIN)/python -m lab run "$(KERNEL)" -- "$$CMD"

.PHONY: lab-compare
lab-compare: export LOAD := $(LOAD)
lab-compare: lab-deps ## Record the same load on two kernels and compare: make lab-compare A=6.12 B=/PATH LOAD='COMMAND'
	$(BIN)/python -m lab compare "$(A)" "$(B)" $${LOAD:+-- "$$LOAD"}

.PHONY: lab-designs
lab-designs: setup ## Build the kernels with the designs of the argument, 8 minutes each: make lab KERNEL=designs|designs-rt
	$(BIN)/python -m lab apt-deps --build
	$(BIN)/python -m lab build

.PHONY: lab-shell
lab-shell: lab-deps ## A root shell on a kernel: make lab-shell KERNEL=7
	$(BIN)/python -m lab shell $(KERNEL)

.PHONY: lab-all
lab-all: export CMD := $(CMD)
lab-all: lab-deps ## Run CMD on every kernel of the table, two at a time
	$(BIN)/python -m lab run-all --jobs 2 -- "$$CMD"

ORACLE_KERNELS ?= 5.10 6.12 6.18 7
ORACLE_TIERS ?=
ORACLE_JOBS ?= 2

.PHONY: oracle
oracle: lab-deps ## Umounts of 80 kinds beside their ledger, every tier on ORACLE_KERNELS='5.10 6.12 6.18 7'; goes on where it stopped
	$(BIN)/python -m tests.oracle.lab --jobs $(ORACLE_JOBS) --tiers '$(ORACLE_TIERS)' $(ORACLE_KERNELS)

.PHONY: lab-check
lab-check: lab-deps ## Check every kernel, or ONLY=5.10,7 again; writes docs/kernels.md and its tables
	$(if $(ONLY),,rm -rf lab-results)
	-$(BIN)/python -m lab run-all --jobs 2 --timeout 2400 --kernels '$(ONLY)' --out lab-results -- scripts/kernel-check
	$(BIN)/python tools/kernels_table.py lab-results > docs/kernels.md
	tools/kernel-tables --from lab-results

.PHONY: lab-held
lab-held: lab-deps ## Mounts held among path walkers, and what is said of them: HELD_KERNELS='5.10 6.12 7'
	for kernel in $(HELD_KERNELS); do $(BIN)/python scripts/held-among-walkers --lab $$kernel --mounts $(HELD_MOUNTS) || exit 1; done

.PHONY: bench
bench: setup ## What umtrace costs here beside its peers, 15 minutes; writes docs/overhead.md (root)
	$(BIN)/python -m bench

.PHONY: bench-peers
bench-peers: ## Install the tools that the benches compare with (root)
	apt-get install -y --no-install-recommends bpftrace bpfcc-tools libbpf-tools linux-perf trace-cmd

.PHONY: bench-lab
bench-lab: lab-deps ## The same for the function tiers, in the lab, an hour: BENCH_KERNEL=6.12
	$(BIN)/python -m bench.lab --kernel $(BENCH_KERNEL)

.PHONY: format
format: setup ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove what the targets made, .venv included
	rm -rf $(VENV) demo lab-compare lab-results oracle-results dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
