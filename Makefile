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

# A second environment, outside the checkout: what families need beyond the first, and a torch that torchvision fits.
# It is built once for what these files say, whichever checkout they are in; the package itself comes from src/.
FAMILIES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/video-tool-dev/families
FAMILIES_FILES := pyproject.toml constraints.txt constraints-families.txt
FAMILIES_INSTALLED := $(FAMILIES)/.installed-$(shell cat $(FAMILIES_FILES) | cksum | tr ' ' -)
FAMILIES_REPORT := $(FAMILIES)/report.json

# What benchmarks compare with, over the first environment.
BENCH := $(VENV)/bench
BENCH_INSTALLED := $(BENCH)/.installed
SITE := import sysconfig; print(sysconfig.get_path("purelib"))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo lint test test-families test-integrations test-mcp-conformance families-table golden fuzz train-builtin bench-builtin bench bench-quick clean

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

# Tests start hundreds of programs, which would each compile what they import where no bytecode is to be kept.
test: export PYTHONDONTWRITEBYTECODE :=
test: lint ## Everything that CI runs: lint, then the tests with coverage
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --cov --cov-report=term

$(FAMILIES_INSTALLED):
	@mkdir -p "$(FAMILIES)"
	@rm -f "$(FAMILIES)"/.installed-*
	"$(PYTHON)" -m venv "$(FAMILIES)"
	grep -v '^torch==' constraints.txt | cat - constraints-families.txt > "$(FAMILIES)/constraints.txt"
	"$(FAMILIES)/bin/python" -m pip install --quiet --constraint "$(FAMILIES)/constraints.txt" --upgrade pip
	"$(FAMILIES)/bin/python" -m pip install --constraint "$(FAMILIES)/constraints.txt" \
		--build-constraint "$(FAMILIES)/constraints.txt" --editable '.[families]' --group dev
	"$(FAMILIES)/bin/python" -m pip uninstall --quiet --yes video-tool
	@touch "$@"

test-families: $(FAMILIES_INSTALLED) ## Test every model family, in an environment that has what they need
	@PYTHONPATH=src "$(FAMILIES)/bin/python" -m pytest tests/families tests/models/families \
		--families-report="$(FAMILIES_REPORT)"

families-table: test-families install ## Write the table of families that passed into the README
	$(BIN)/python -m tests.families.table "$(FAMILIES_REPORT)" README.md

golden: install ## Write anew what tests compare the tools' schemas with; read what changed
	$(BIN)/python -m tests.adapters.golden.write

fuzz: install ## Read a thousand damaged videos; takes minutes
	$(BIN)/python -m pytest -m slow tests/frames/test_fuzz.py

# Steps give memory back and take it again, which cost a fifth of the time: glibc keeps it, and torch takes huge pages.
train-builtin: export MALLOC_MMAP_MAX_ := 0
train-builtin: export MALLOC_TRIM_THRESHOLD_ := 100000000000
train-builtin: export THP_MEM_ALLOC_ENABLE := 1
train-builtin: install ## Train the built-in model from nothing; goes on where it was stopped
	$(BIN)/python examples/train_builtin

# What the references need lies over .venv: nothing that is tested sees it.
$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m venv --clear --without-pip $(BENCH)
	printf 'import site; site.addsitedir("%s")\n' "$$($(BIN)/python -c '$(SITE)')" \
		> "$$($(BENCH)/bin/python -c '$(SITE)')/base.pth"
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --constraint constraints.txt --group bench
	@touch $@

bench: $(BENCH_INSTALLED) ## Measure beside what others do, an hour; ROWS="NAME …" for some, docs/performance.md
	PYTHONPATH=. $(BENCH)/bin/python benchmarks/performance.py $(if $(ROWS),--rows $(ROWS))

bench-quick: install ## Count what questions take, and hold it to benchmarks/bounds.toml
	PYTHONPATH=. $(BIN)/python benchmarks/quick.py

bench-builtin: install ## Measure the built-in model on unseen videos and write the report
	PYTHONPATH=. $(BIN)/python benchmarks/builtin_accuracy.py

test-integrations: install ## Test every integration in its own framework, in environments that are kept
	$(BIN)/python integrations/run_tests.py

test-mcp-conformance: install ## Run the official conformance suite of MCP over the server; fetches it by npm, once
	PYTHONPATH=. $(BIN)/python -m tests.mcp_conformance

clean: ## Remove the environment, caches and built packages
	rm -rf $(VENV) dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
