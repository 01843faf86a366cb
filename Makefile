# The two commands of the README. Both make the environment first, on a machine that has only Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types rooms unit env clean

demo: env  ## Run the quickstart and say where its report is.
	$(BIN)/scenario-gen run scenarios/quickstart.yaml

test: lint types rooms unit  ## Everything that must hold before a change lands.

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

rooms: env
	$(BIN)/lint-imports

# One thread per worker; what a file sets up is set up once; each module is compiled once and not by every process.
unit: env
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

env: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "scenario-gen needs Python >= 3.11; found $$($(PYTHON) --version). Set PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
