# make train: train the embedded default. make test: all checks. Both set .venv up first where it is missing.
# PYTHON=…  the Python that makes .venv (3.11 or newer; looked for by default)
# ARGS=…    settings for the program: make train ARGS="masking=feature fold=2"
# ROOT=…    a VOC2012 folder, for make benchmark to time evaluations too

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3 python)
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
# One thread for each test process: they share the cores among themselves.
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install train evaluate benchmark fuzz test lint format clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

install: $(STAMP) ## set up .venv

$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	if ! $(BIN)/python -c '$(RECENT)' 2>/dev/null; then \
	  found=; \
	  for python in $(CANDIDATES); do \
	    if "$$python" -c '$(RECENT)' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "error: Python 3.11 or newer was not found (tried: $(CANDIDATES)); install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	  fi; \
	  echo "making $(VENV) with $$found"; \
	  "$$found" -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@$(BIN)/python -c 'import torch, torchvision; torchvision.ops.nms' || { \
	  echo "error: torch and torchvision do not fit each other; remove $(VENV) and run make again" >&2; exit 1; }
	@touch $(STAMP)

train: $(STAMP) ## train; settings in ARGS
	$(BIN)/python -m hmseg.train $(ARGS)

evaluate: $(STAMP) ## evaluate; ARGS="ckpt=…"
	$(BIN)/python -m hmseg.evaluate $(ARGS)

benchmark: $(STAMP) ## speed and memory beside the published way of computing; ROOT=VOC2012, ARGS
	$(BIN)/python benchmarks/performance.py results/performance $(if $(ROOT),--root "$(ROOT)") $(ARGS)

fuzz: $(STAMP) ## mutated inputs for every reader, ten minutes each; ARGS="--seconds 60 image"
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py $(ARGS)

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## style, types, unit tests, docstring examples, short end-to-end runs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

format: $(STAMP) ## bring the source into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; runs and results stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
