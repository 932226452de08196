# Everything starts here: `make help`. Each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= data/kenyan13

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment, with the versions of constraints.txt.
.venv/.complete: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up .venv (PyTorch is large: some minutes the first time) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: .venv/.complete  ## make .venv with everything that is needed

demo: .venv/.complete  ## draw a synthetic data set, train a small network on the CPU, show what came out
	$(BIN)/python train.py experiment=demo
	@echo "Pictures (synthetic drawings): data/demo    results: runs/demo    decoded pictures: .cache"
	@echo "Try:   $(BIN)/kenyan13 predict runs/demo data/demo/images/images --top 2 | head"
	@echo "Look:  $(BIN)/tensorboard --logdir runs   and open http://localhost:6006"

data: .venv/.complete  ## download KenyanFood13 from Kaggle (needs a token; other ways: scripts/download.py --help)
	$(BIN)/python scripts/download.py kaggle --to $(DATA)

lint: .venv/.complete  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: .venv/.complete  ## the tests, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: .venv/.complete  ## the long tests only
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

constraints: .venv/.complete  ## write the versions in .venv to constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable --exclude kenyan13 > constraints.txt

clean:  ## remove caches and decoded pictures; runs and data stay
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache

.PHONY: help setup demo data lint test test-slow constraints clean
