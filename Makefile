# Everything starts here: `make help`. Each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= data/kenyan13
RUNS ?= runs
BENCH ?= data=demo

.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-zA-Z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables for reproduce:"
	@echo "  SMOKE=1 (a tiny network, drawings)  DATA=DIR  RUNS=DIR  REPORT=DIR"
	@echo "  LAUNCHER=joblib  ARGS='trainer=gpu ...'"
	@echo "  LEVEL=train|evaluate|tables  MODELS=resnet18,...  WEIGHTS=DIR"

# The virtual environment, with the versions of constraints.txt.
.venv/.complete: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up .venv (PyTorch is large: some minutes the first time) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: .venv/.complete  ## make .venv with everything that is needed

demo: .venv/.complete  ## draw images, train a small network, write a report
	$(BIN)/python train.py experiment=demo
	$(BIN)/kenyan13 report runs/demo --output report-demo
	@echo "Images (drawings): data/demo    results: runs/demo    decoded images: .cache"
	@echo "Try:   $(BIN)/kenyan13 predict runs/demo data/demo/images | head"
	@echo "Look:  report-demo/index.html, in a browser"

data: .venv/.complete  ## download KenyanFood13 from Kaggle: docs/data.md
	$(BIN)/python scripts/download.py kaggle --to $(DATA)

# The study, group by group. Tables and report are made even where runs have failed; make then fails.
GROUPS := A B C D E F G H
SETTINGS = $(if $(SMOKE),debug=smoke 'runs=$(RUNS)/smoke','data.root=$(DATA)' 'runs=$(RUNS)') $(ARGS)
REPORT ?= $(if $(SMOKE),report-smoke,report)
WRITE_REPORT = $(BIN)/kenyan13 report '$(RUNS)$(if $(SMOKE),/smoke)' --output '$(REPORT)'

reproduce-group-C: ## train and compare group C of the study (A to H)

# LEVEL=train trains; evaluate computes the metrics again from checkpoints; tables reads what is there (of a pack, too).
# MODELS=tf_efficientnet_lite0,... puts these networks in the place of the study's, with WEIGHTS=DIR/NAME.safetensors;
# any of timm's that conf/model does not have is trained as EfficientNet-Lite0 is: 224 px, batches of 32, no options.
LEVEL ?= train
$(if $(filter train evaluate tables,$(LEVEL)),,$(error LEVEL=$(LEVEL) is no level: train, evaluate or tables))
comma := ,
$(GROUPS:%=reproduce-group-%): reproduce-group-%: .venv/.complete
	@$(if $(or $(SMOKE),$(filter tables,$(LEVEL))),:,test -d '$(DATA)') || { echo "There are no images in $(DATA): make data gets them, DATA=DIR names them."; \
	echo "Without any, on drawings: make $@ SMOKE=1"; exit 2; }
	@status=0; $(if $(filter evaluate,$(LEVEL)),for run in $(RUNS)$(if $(SMOKE),/smoke)/$**_*/checkpoints; do $(BIN)/kenyan13 evaluate "$${run%/*}" || status=$$?; done;) \
	for model in $(or $(subst $(comma), ,$(MODELS)),-); do \
	own=; test $$model = - || own="$$(test -f conf/model/$${model#tf_}.yaml && echo model=$${model#tf_} || echo model=efficientnet_lite0 model.backbone=$$model) $(if $(WEIGHTS),model.weights=$(WEIGHTS)/$$model.safetensors)"; \
	$(if $(filter train,$(LEVEL)),$(BIN)/python train.py -m 'experiment=$**' $(SETTINGS) $(if $(LAUNCHER),hydra/launcher=$(LAUNCHER)) $$own || status=$$?;) \
	echo; $(BIN)/kenyan13 study table $* $(SETTINGS) $$own && echo || status=$$?; \
	$(if $(SMOKE),,$(BIN)/kenyan13 study verify $* $(SETTINGS) $$own --output '$(RUNS)' || true;) done; $(WRITE_REPORT) && exit $$status

reproduce-%:
	@echo "There is no target $@: groups are $(GROUPS), as in make reproduce-group-C"; exit 2

reproduce: .venv/.complete  ## all groups of the study
	@failed=; for group in $(GROUPS); do $(MAKE) --no-print-directory reproduce-group-$$group || failed="$$failed $$group"; done; \
	test -z "$$failed" || { echo "Groups with failed runs:$$failed"; exit 2; }

# Recipes on anybody's data, with the weights of a folder: each trains, and writes predictions of the test images.
# make recipe-modern DATA=DIR WEIGHTS=DIR MODEL=mobilenetv2_100 SUBMISSION=modern.csv
MODEL ?= mobilenetv2_100
SUBMISSION ?= $@.csv
IMAGES = data.layout=$(if $(wildcard $(DATA)/train.csv),competition,folder) 'data.root=$(DATA)' 'runs=$(RUNS)' $(ARGS)
OWN_WEIGHTS = $(if $(WEIGHTS),'model.weights=$(WEIGHTS)/$(MODEL).safetensors')

recipe-study recipe-quick recipe-modern: recipe-%: .venv/.complete  ## train with a recipe, predict the test images
	$(BIN)/python train.py $(if $(wildcard conf/model/$(MODEL:tf_%=%).yaml),model=$(MODEL:tf_%=%),model.backbone=$(MODEL)) recipe=$* name=$* $(OWN_WEIGHTS) $(IMAGES)
	$(BIN)/kenyan13 predict '$(RUNS)/$*' --test -o '$(SUBMISSION)'

recipe-best: .venv/.complete
	$(BIN)/kenyan13 best $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(IMAGES)
	$(BIN)/kenyan13 predict '$(RUNS)/best' --test -o '$(SUBMISSION)'

recipes: recipe-study recipe-quick recipe-modern recipe-best  ## all recipes, and how they compare
	$(BIN)/kenyan13 compare '$(RUNS)/study' '$(RUNS)/quick' '$(RUNS)/modern' '$(RUNS)/best'

lint: .venv/.complete  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/.complete  ## time the input and others' (BENCH=data.root=DIR)
	$(BIN)/python scripts/benchmark.py input --output runs/bench.json $(BENCH)

browser:  ## install Chromium, for tests that open the report
	@if { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then echo "Chromium is there."; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Chromium ..."; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null \
	  || echo "Chromium could not be installed: the tests that open pages will be skipped."; \
	else echo "No Chromium, and no right to install it: the tests that open pages will be skipped."; fi

test: .venv/.complete  ## the tests, on all cores
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: .venv/.complete  ## the long tests only
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

test-oldest:  ## the tests with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-oldest/bin/python -m uv pip install --quiet --python .venv-oldest --resolution lowest-direct -e '.[dev]'
	.venv-oldest/bin/python -m pytest -n auto --dist loadfile

constraints: .venv/.complete  ## write the versions in .venv to constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable --exclude kenyan13 > constraints.txt

clean:  ## remove caches and decoded images; runs and data stay
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache

.PHONY: help setup demo data reproduce $(GROUPS:%=reproduce-group-%) recipe-study recipe-quick recipe-modern recipe-best recipes bench lint browser test test-slow test-oldest constraints clean
