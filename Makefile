# Everything that a fresh machine needs is installed by these targets themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup test test-all lint fix demo bench reference clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t12

setup: $(READY) ## Make the virtual environment

$(READY): pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $@

test: $(READY) ## Run the tests (minutes)
	$(BIN)/python -m pytest -q -m "not slow" -n 2 --dist loadfile

test-all: $(READY) ## Run every test, the slow ones too
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(READY) ## Check style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY) ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(READY) ## Deploy the shop, load it, kill the server, prove that nothing was lost
	$(BIN)/python examples/shop/demo.py

bench: $(READY) ## Measure the CPU time of requests on this machine
	$(BIN)/python bench/requests.py

reference: $(READY) ## Write docs/reference from the declarations
	$(BIN)/python scripts/reference.py

clean: ## Remove what was made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
