# The two commands of the README are `make run` and `make test`. Both make what they need.
#
#   make run      the default avatar in the browser
#   make test     everything that has to hold: lint, types, tests
#   make lint     only ruff and mypy
#   make bench    the figures of the README, measured on this machine
#   make speech   the speech network, from its data on; ARGS=--quick to see that it runs
#   make clean    remove what the other targets made
#
# Needs Python 3.11 or newer with venv, git and make; `make speech` Debian and npm, too.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# PyTorch is large and its versions are pinned: training lives apart from everything else.
SPEECH := .venv-speech
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Three help the others; the contact sheet needs a photo, the faces a network, serve_load a quarter
# of an hour.
BENCHMARKS := $(filter-out __init__ chromium contact_sheet crowd faces serve_load server,$(basename $(notdir $(wildcard benchmarks/*.py))))

# Tests that only compute share the cores; those that watch a clock have the machine to themselves.
COMPUTING := $(addprefix tests/,audio essence expression face imx motion showcase speech training video)

.DEFAULT_GOAL := help
.PHONY: help run test lint bench speech speech-test clean browser

help:
	@sed -n '3,8s/^# *//p' Makefile

run: $(VENV)/.run
	@$(BIN)/bithuman run $(ARGS)

# Failing early and in this order: format, lint, types, tests.
test: lint browser
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 2 --dist loadfile $(COMPUTING)
	$(BIN)/python -m pytest $(addprefix --ignore=,$(COMPUTING))
endif

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.test
	@for script in $(BENCHMARKS); do \
		echo "== $$script"; $(BIN)/python -m benchmarks.$$script || exit 1; \
	done

speech: $(SPEECH)/.done
	$(SPEECH)/bin/python -m training.speech $(ARGS)

# The tests that `make test` skips for want of PyTorch, the whole quick run among them.
speech-test: $(SPEECH)/.done
	$(SPEECH)/bin/python -m pytest tests/speech/test_recipe.py $(ARGS)

clean:
	rm -rf $(VENV) $(SPEECH) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "bithuman needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

# The voice is an extra of another licence; without it everything but typed text works.
$(VENV)/.run: pyproject.toml | $(VENV)/.venv
	@echo "Installing bithuman into $(VENV); this takes a minute the first time."
	@$(PIP) install --quiet --editable '.[voice]' || { \
		echo "The voice for typed text cannot be installed here; going on without it." >&2; \
		$(PIP) install --quiet --editable .; }
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.run
	$(PIP) install --quiet --group test
	@$(PIP) install --quiet --group models \
		|| echo "The tests that compare models with their originals will be skipped." >&2
	@touch $@

$(SPEECH)/.done: pyproject.toml training/speech/requirements.txt
	$(PYTHON) -m venv $(SPEECH)
	$(SPEECH)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(SPEECH)/bin/python -m pip install --quiet --editable . -r training/speech/requirements.txt
	$(SPEECH)/bin/python -m pip install --quiet --group test
	@touch $@

# Browser tests need a Chromium; they are skipped where there is none and none can be installed.
browser:
	@for name in chromium chromium-browser google-chrome; do \
		if command -v $$name >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium for the browser tests."; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "No Chromium here and no way to install it: the browser tests will be skipped." >&2
