# make run    the dashboard, on http://127.0.0.1:8501 (PORT=..., DISTILL_WORKSPACE=..., DEMO=0)
# make test   everything that must pass; make check is its quick part
# make bench  measures, gates nothing; make fix formats

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
BIN := $(VENV)/bin
TESTING := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

.PHONY: run test check bench fix chromium

run: $(VENV)/.installed
	@$(BIN)/python -m engine serve --port $(PORT)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict engine
	$(TESTING) $(BIN)/python -m pytest -n 2 -m "not slow and not browser"

test: check chromium
	$(TESTING) $(BIN)/python -m pytest -m "slow or browser" -rs

bench: $(VENV)/.installed-dev chromium
	$(BIN)/python -m benchmarks.pages
	$(BIN)/python -m engine bench step

fix: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A Chromium for the browser tests: the one on PATH, else Debian's, else Playwright's. Where
# none can be had the browser tests are reported as not run.
chromium: $(VENV)/.installed-dev
	@command -v chromium chromium-browser google-chrome >/dev/null \
	|| { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	     && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| $(BIN)/playwright install chromium \
	|| echo "No Chromium can be had: the browser tests will be reported as not run."

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Distill Studio needs Python 3.11 or later; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# constraints.txt holds the versions that the tests passed with; CONSTRAINTS= takes the newest.
CONSTRAINTS ?= -c constraints.txt

$(VENV)/.installed: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing (about a minute, 6 GB) ..."
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt $(CONSTRAINTS)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt $(CONSTRAINTS)
	@touch $@
