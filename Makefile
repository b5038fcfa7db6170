# GNU make. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Tests marked `corpus` run where real videos lie beside the checkout.
ifneq ($(wildcard ../shared/videos/.),)
export VIDEO_TOOL_CORPUS ?= $(abspath ../shared/videos)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo lint test fuzz train-builtin bench-builtin clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Build .venv, once: the package, editable, with the development tools

# pip reads dependency groups from 25.1 on, and keeps build requirements to constraints from 25.3 on;
# the one that comes with Python 3.11 is older, so the pinned one is installed first.
$(INSTALLED): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make install PYTHON=/path/to/python' >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable . --group dev
	@touch $@

demo: install ## Ask the built-in model about the video that ships with the package
	$(BIN)/video-tool ask "What happens in the video?" src/video_tool/builtin/demo.mp4 --model builtin

lint: install ## Check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

test: lint ## Everything that CI runs: lint, then the tests with coverage
	$(BIN)/python -m pytest --numprocesses auto --cov --cov-report=term

fuzz: install ## Read a thousand damaged videos; takes minutes
	$(BIN)/python -m pytest -m slow tests/frames/test_fuzz.py

# Steps give memory back and take it again, which cost a fifth of the time: glibc keeps it, and torch takes huge pages.
train-builtin: export MALLOC_MMAP_MAX_ := 0
train-builtin: export MALLOC_TRIM_THRESHOLD_ := 100000000000
train-builtin: export THP_MEM_ALLOC_ENABLE := 1
train-builtin: install ## Train the built-in model from nothing; goes on where it was stopped
	$(BIN)/python examples/train_builtin

bench-builtin: install ## Measure the built-in model on unseen videos and write the report
	PYTHONPATH=. $(BIN)/python benchmarks/builtin_accuracy.py

clean: ## Remove the environment, caches and built packages
	rm -rf $(VENV) dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
