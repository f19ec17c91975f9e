# Everything needs only python3, python3-venv and make; all else goes into .venv, locked by hash.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA ?= ./data

.PHONY: run compiled test check unit stock prove prove-full bench bench-quick soak lock format clean

run: compiled
	$(BIN)/twistd -n --pidfile= imserver --demo --data-dir $(DATA)

# What every message goes through as machine code; without a C compiler the server runs its sources. Nothing is
# done where that was made of the same sources (`imserver compile` looks).
compiled: $(VENV)/compile.stamp
	$(BIN)/imserver compile --if-possible

# Once with what was compiled, and the unit tests once more on the sources.
test: check compiled
	$(BIN)/python -m pytest -n 2 --dist loadfile
	IMSERVER_PURE=1 $(BIN)/python -m twisted.trial --temp-directory=_trial_temp tests.unit

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/test.stamp compiled
	$(BIN)/python -m pytest tests/unit

# What reads and writes sockets, once more over Twisted's own transport ([performance] transport = "stock") and uncompiled;
# of the SIGKILL tests those at random. IMSERVER_TEST_TRANSPORT=stock make test has the whole suite so.
STOCK := tests/e2e/test_websocket_conformance.py tests/e2e/test_crash.py tests/e2e/test_tls.py tests/e2e/test_half_close.py \
	tests/unit/protocols/test_written_at_once.py
stock: $(VENV)/test.stamp
	IMSERVER_PURE=1 IMSERVER_TEST_TRANSPORT=stock $(BIN)/python -m pytest -n 2 --dist loadfile $(STOCK) \
		-k "not test_nothing_acknowledged_is_lost or random"

# Longer rounds of what can only be made likely by repetition; the seeds of what fails are printed.
prove: $(VENV)/test.stamp compiled
	$(BIN)/python -m tests.simulation.run --jobs 2 --first $$(date +%s) --histories 1000 --no-calls
	$(BIN)/python -m tests.simulation.run --jobs 2 --first $$(date +%s) --histories 200 --nodes 3
	IMSERVER_EFFORT=prove $(BIN)/python -m pytest -n 2 --dist loadfile -m prove --durations=15
	$(MAKE) stock
	$(BIN)/python -m benchmarks.soak --sessions 300 --minutes 0.5 --rate 1500

prove-full: $(VENV)/test.stamp compiled
	$(BIN)/python -m tests.simulation.run --jobs 2 --first $$(date +%s) --histories 10000
	$(BIN)/python -m tests.simulation.run --jobs 2 --first $$(date +%s) --histories 2000 --nodes 3
	IMSERVER_EFFORT=full $(BIN)/python -m pytest -s -m prove

bench: $(VENV)/test.stamp compiled
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/test.stamp compiled
	$(BIN)/python -m benchmarks --quick

# 2,000 sessions of mixed formats at half of the most that they can; nothing may be lost, memory must be flat.
MINUTES ?= 20
soak: $(VENV)/test.stamp compiled
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES)

$(VENV)/run.stamp: requirements/runtime.txt setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	touch $@

# Nothing needs it: where there is no compiler, or no network, the next make tries again.
$(VENV)/compile.stamp: $(VENV)/run.stamp requirements/compile.txt
	if command -v cc >/dev/null; then $(PIP) install --require-hashes -r requirements/compile.txt && touch $@; fi \
		|| echo "what imserver compile needs could not be installed"

$(VENV)/test.stamp: $(VENV)/run.stamp requirements/test.txt tests/system_packages.sh | $(VENV)/compile.stamp
	$(PIP) install --require-hashes -r requirements/test.txt
	sh tests/system_packages.sh
	touch $@

COMPILE := $(CURDIR)/$(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras \
	--no-emit-find-links --no-emit-index-url --no-emit-trusted-host

lock: $(VENV)/test.stamp
	cd requirements && $(COMPILE) --output-file=runtime.txt runtime.in
	cd requirements && $(COMPILE) --output-file=compile.txt compile.in
	cd requirements && $(COMPILE) --output-file=test.txt test.in

format: $(VENV)/test.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf imserver/_compiled benchmarks/results twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
