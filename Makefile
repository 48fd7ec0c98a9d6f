# make test: lint, type-check and test. make demo: from nothing to a picture grid.
# Both build their own virtual environment from setup.cfg. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO := demo

.PHONY: test lint demo clean

# Two files at a time: most tests build graphs, in Python, which takes one core.
test: lint
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Started again, it continues where it was interrupted.
demo: $(INSTALLED)
	test -d $(DEMO)/shapes || $(BIN)/pgan-prepare-tfrecords --source=synthetic \
	    --num_images=10000 --resolution=32 --labels=classes --output=$(DEMO)/shapes
	$(BIN)/pgan-train --flagfile=configs/demo.flags --data_dir=$(DEMO)/shapes --run_dir=$(DEMO)/run
	$(BIN)/pgan-generate --network=$(DEMO)/run --output=$(DEMO)/samples --num_images=50 --overwrite
	@echo "Look at $(CURDIR)/$(DEMO)/samples/grid.png, one kind of shape a row, and at the curves:"
	@echo "$(BIN)/tensorboard --logdir $(DEMO)"

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
