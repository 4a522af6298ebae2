# `make quickstart` and `make test` set up everything they need; nothing has to be installed first but Python 3.11.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
# Workers share no rig and no campaign; each takes up to 3 GiB.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal --durations 10

.PHONY: quickstart test test-all lint setup reproduce benchmarks results clean

quickstart: setup
	$(BIN)/edgewright quickstart

test: setup
	$(PYTEST) -m "not sweep"

# And the sweeps: every family of timm, every login shell, every fault, whole lives of emulated phones and boards.
test-all: test
	$(PYTEST) -m sweep

lint: setup
	rm -rf .links && mkdir -p .links/edgewright
	for part in host/* converters device_agent; do ln -s ../../$$part .links/edgewright/; done
	$(BIN)/ruff check .
	$(BIN)/mypy -p edgewright

# About an hour each on two cores.
reproduce: setup
	for name in numvqa-resnet numvqa-vit numvqa-mobilenet attrod-digits; do \
	    $(BIN)/edgewright train $$name --out runs/$$name && \
	    $(BIN)/edgewright supernet evaluate --supernet runs/$$name --card runs/$$name/CARD.md || exit 1; \
	done

benchmarks: setup
	$(BIN)/python -m benchmarks.customize
	$(BIN)/python -m benchmarks.campaign
	$(BIN)/python -m benchmarks.devices
	$(BIN)/python -m benchmarks.predictors
	$(BIN)/python -m benchmarks.budget
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.precisions
	$(BIN)/python -m benchmarks.store --sizes 1000 10000

# docs/results.md from the files that hold the figures.
results: setup
	$(BIN)/python -m benchmarks.results

setup: $(VENV)/ready

$(VENV)/ready: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .links build dist *.egg-info edgewright-workspace
