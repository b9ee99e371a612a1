# The verbs of this project. `make demo` is the main job, `make test` the tests; each sets up what it needs.
SHELL := /bin/bash
PYTHON_BIN := .venv/bin/python
SEEDS ?= 3
export OLIVINE_CACHE ?= $(HOME)/.cache/olivine

.PHONY: help demo miniature test lint bench chaos minkowski compile lock clean

help: ## show the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## the whole chain on synthetic drives, with a table and build/demo/report.html (SEEDS=3)
	@scripts/setup.sh demo
	@scripts/weights.sh
	@$(PYTHON_BIN) -m olivine demo --seeds $(SEEDS)

test: ## all tests
	@scripts/setup.sh test
	@scripts/weights.sh
	@scripts/test.sh

lint: ## format, lint, types, import contracts, compiled pipelines, images, secrets
	@scripts/setup.sh test
	@scripts/lint.sh

miniature: ## the paper's comparisons on synthetic drives, into build/miniature (QUICK=1, FULL=1)
	@scripts/setup.sh demo
	@scripts/weights.sh
	@$(PYTHON_BIN) -m olivine study miniature $(if $(QUICK),--quick) $(if $(FULL),--full)

bench: ## benchmarks as ratios, into build/bench/results.json (ONLY=W1)
	@scripts/setup.sh bench
	@$(PYTHON_BIN) -m benchmarks $(if $(ONLY),--only $(ONLY))

chaos: ## faults at their full numbers, into build/faults/results.json and docs/reliability.md (BUDGET=60)
	@scripts/setup.sh bench
	@$(PYTHON_BIN) tests/faults/chaos.py --budget-min $(or $(BUDGET),60) --document

minkowski: ## build MinkowskiEngine once, cache its wheel, install it into .venv
	@scripts/setup.sh test
	@PYTHON=$(PYTHON_BIN) scripts/build_minkowski.sh

compile: ## compile the pipelines into pipelines/compiled
	@scripts/setup.sh test
	@$(PYTHON_BIN) -m pipelines.compile

lock: ## resolve the dependencies anew into requirements/
	@scripts/lock.sh

clean: ## remove what was built, not the environment
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
