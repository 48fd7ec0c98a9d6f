# `make help` lists the targets. Each builds its own virtual environment from setup.cfg.
# PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO := demo
RUNTIME_WEB := $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' pgan_tf/exporting/web/runtime.py)

.PHONY: help test test-fast lint format demo browser clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' Makefile | expand -t 18

# Two files at a time: most tests build graphs, in Python, which takes one core. In their order, in
# which those of whole runs come first and small ones last.
test: lint ## lint, check types and run every test (some 18 minutes on two cores)
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test-fast: $(INSTALLED) ## run the tests not marked slow (under two minutes on two cores)
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder -m "not slow"

lint: $(INSTALLED) ## lint and check types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## mend what the linter can mend, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Started again, it continues where it was interrupted.
demo: $(INSTALLED) ## from nothing to a grid of generated pictures (about 4 minutes on two cores)
	test -d $(DEMO)/shapes || $(BIN)/pgan-prepare-tfrecords --source=synthetic \
	    --num_images=10000 --resolution=32 --labels=classes --output=$(DEMO)/shapes
	$(BIN)/pgan-train --flagfile=configs/demo.flags --data_dir=$(DEMO)/shapes --run_dir=$(DEMO)/run
	$(BIN)/pgan-generate --network=$(DEMO)/run --output=$(DEMO)/samples --num_images=50 --overwrite
	@echo "Look at $(CURDIR)/$(DEMO)/samples/grid.png, one kind of shape a row, and at the curves:"
	@echo "$(BIN)/tensorboard --logdir $(DEMO)"

# Without them those tests are skipped. Chromium is Debian's package; to install it takes root.
browser: ## fetch what the tests of the web page need: Chromium, by apt-get, and ONNX Runtime Web
	command -v chromium || command -v chromium-browser || command -v google-chrome || \
	    { apt-get update && apt-get install --yes --no-install-recommends chromium; }
	test -d .browser/package || { rm -rf .browser.new && mkdir .browser.new && cd .browser.new && \
	    npm pack --silent onnxruntime-web@$(RUNTIME_WEB) && tar -xzf *.tgz && rm *.tgz && \
	    cd .. && rm -rf .browser && mv .browser.new .browser; }

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean: ## remove the virtual environment, the demo and built packages
	rm -rf $(VENV) $(DEMO) .browser build dist *.egg-info
