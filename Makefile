# Two commands matter: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  ?= cpu
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help install run check test examples generated-client test-ray soak mutants fuzz audit bench images doctor clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.torch: constraints.txt .ci/install-torch
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	.ci/install-torch $(BIN)/python
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# One resolution for all; the tests import a part of what pip would compile.
$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed  ## Create .venv with the pinned dependencies

run: install  ## Start server and workers on http://127.0.0.1:8000, with a first search
	@exec $(BIN)/nas up

check: $(VENV)/.installed-dev  ## Lint, types and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests start hundreds of processes, each of which would otherwise compile all that it imports.
test: export PYTHONDONTWRITEBYTECODE =

# Four processes of one thread each, for two cores: many tests wait. A file stays in one process. PYTEST_ARGS="-n 0" runs
# all in one.
test: $(VENV)/.installed-dev  ## The whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-ray: $(VENV)/.installed-dev  ## Two Ray nodes in two network namespaces, one of them lost; needs root
	NAS_TEST_RAY=1 $(BIN)/python -m pytest -n 0 -s -m chaos tests/chaos/test_two_nodes.py

fuzz: $(VENV)/.installed-dev  ## The whole API and 5,000 mutated inputs, with what was found (half an hour)
	$(BIN)/python tests/security/fuzz_uploads.py --count 5000 --seed 1
	$(BIN)/python tests/security/fuzz_api.py 100 1

# What cannot be asked about is a failure too. docs/security-dependencies.md explains what is ignored.
audit: $(VENV)/.installed-dev  ## Ask pip-audit what is known of the pinned dependencies
	sed -n 's/^torch="\(.*\)"/\1/p' .ci/install-torch | cat constraints.txt - > $(VENV)/audited.txt
	$(BIN)/python -m pip_audit --strict --no-deps --disable-pip --progress-spinner off -r $(VENV)/audited.txt

bench: $(VENV)/.installed-dev  ## The benchmarks, a table each; results go to benchmarks/results
	$(BIN)/python -m benchmarks.coordination
	$(BIN)/python -m benchmarks.folding
	$(BIN)/python -m benchmarks.analyser
	$(BIN)/python -m benchmarks.exactness
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.predictor
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.chains
	$(BIN)/python -m benchmarks.worker
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.pages
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.limits

MINUTES ?= 30
soak: $(VENV)/.installed-dev  ## Storms of MINUTES (30) on each database, and the state machine at length
	$(BIN)/python -m benchmarks.soak sqlite --minutes $(MINUTES)
	$(BIN)/python -m benchmarks.soak postgresql --minutes $(MINUTES)
	CHAOS_EXAMPLES=2000 CHAOS_STEPS=60 $(BIN)/python -m pytest -n 0 --timeout 0 tests/chaos/test_state_machine.py

mutants: $(VENV)/.installed-dev  ## Break each guard on purpose; a test must turn red
	$(BIN)/python tests/chaos/broken.py

requirements-server.txt: pyproject.toml constraints.txt .ci/server_requirements.py | $(VENV)/.installed-dev
	$(BIN)/python .ci/server_requirements.py > $@.part && mv $@.part $@

images: requirements-server.txt  ## Build the images nas-server and nas-worker (TORCH=cuda for GPUs); needs docker
	docker build --target server --tag nas-server:$(VERSION) .
	docker build --target worker --build-arg TORCH=$(TORCH) --tag nas-worker:$(VERSION) .

examples: $(VENV)/.installed-dev  ## Record an example of each operation of the interface, from a real search
	$(BIN)/python tests/recording/examples.py
	$(BIN)/python -m nas_service.api.openapi > docs/openapi.json

generated-client: $(VENV)/.installed-dev  ## Let a client generated from docs/openapi.json complete a study
	test -x $(VENV)/generator/bin/python || $(PYTHON) -m venv $(VENV)/generator
	$(VENV)/generator/bin/python -m pip install --quiet openapi-python-client==0.29.1
	$(BIN)/python tests/recording/generated_client.py $(abspath $(VENV))/generator/bin/python

doctor: install  ## Say what is wrong on this machine, and what to do about it
	@$(BIN)/nas doctor

clean:  ## Remove the environment and caches, never the data folder
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
