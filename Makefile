# Two commands are enough: `make demo` runs the server with sample data, `make test` runs all tests.
# Both create their own environment in .venv; only Python 3.11+ has to be installed by hand.

PYTHON ?= python3
UV_VERSION = 0.13.9
BIN = .venv/bin
UV = $(BIN)/uv
# Compiled once here, and not at each start: an environment may forbid Python to write compiled files.
INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

.venv/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

.venv/run: .venv/uv requirements.lock pyproject.toml
	$(INSTALL) requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	$(BIN)/python -m compileall -q src
	touch $@

.venv/dev: .venv/run requirements-dev.lock
	$(INSTALL) requirements-dev.lock
	touch $@

# Node.js from Debian or elsewhere. Without it, its tests are skipped, and a line says so.
.venv/node-%: .venv/uv tests/%/package.json tests/%/package-lock.json tests/%/.npmrc
	@if command -v node >/dev/null && command -v npm >/dev/null; \
	then cd tests/$* && npm ci --ignore-scripts --no-progress --loglevel=error && touch ../../$@; \
	else echo "no node and npm on this machine: tests/$* will be skipped"; fi

# Chromium, pdftotext and a font with Chinese, from Debian. On CI they are installed; elsewhere, the
# tests that need them are skipped if they are missing.
.venv/browser: .venv/uv
	@if [ -n "$$CI" ] && ! { command -v chromium-headless-shell && command -v pdftotext; } >/dev/null; \
	then apt-get update -qq && \
	apt-get install -y -qq --no-install-recommends chromium-headless-shell poppler-utils fonts-droid-fallback >/dev/null; fi
	@if { command -v chromium-headless-shell || command -v chromium; } >/dev/null; then touch $@; \
	else echo "no chromium on this machine: tests/browser will be skipped"; fi

install: .venv/run ## make the environment only

demo: .venv/run ## run the server with the sample portfolio (PORT=8001 for another port)
	@$(BIN)/healthreports demo $(if $(PORT),--port $(PORT))

test: .venv/dev .venv/node-client .venv/node-signin .venv/node-browser .venv/browser ## check, then run every test
	@$(MAKE) --no-print-directory --jobs=2 check collected
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 5 --dist loadfile --no-loadscope-reorder

# pytest rewrites the assertions of all tests, and stores the result. Otherwise each of its workers does it, for 5 s.
# An error is left to the run that follows, which shows it.
collected: .venv/dev
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --collect-only --quiet >/dev/null 2>&1 || true

check: .venv/dev ## format, lint, types, import rules
	$(BIN)/ruff format --check src tests tools deploy bench
	$(BIN)/ruff check src tests tools deploy bench
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/dev ## write the reference pages from the code, and build the docs as a site into site/
	PYTHONPATH=tools $(BIN)/python tools/reference.py
	$(BIN)/zensical build --clean --strict

wheel: .venv/uv ## build the wheel and the source archive into dist/
	$(UV) build --quiet

image-test: .venv/dev .venv/deploy ## build the container image and run it; check compose files, manifests and the systemd unit (needs root, buildah, mmdebstrap, podman, kubectl, Caddy, strace)
	$(BIN)/pytest -s tests/deploy/try_compose.py tests/deploy/try_unit.py tests/deploy/try_image.py

lock: .venv/uv ## write the lock files again from pyproject.toml
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --all-extras --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --group bench -c requirements-dev.lock pyproject.toml -o requirements-bench.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --group pyproject.toml:generators -o requirements-generators.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --group pyproject.toml:deploy -o requirements-deploy.lock

.venv/generators .venv/deploy: .venv/%: .venv/uv requirements-%.lock
	$(UV) venv --quiet --allow-existing $@
	$(UV) pip install --quiet --python $@/bin/python --require-hashes -r requirements-$*.lock
	touch $@

fuzz: .venv/dev .venv/generators .venv/node-generators ## thousands of generated requests, fifty servers killed on each store, attacks, races, power loss (long, needs strace)
	HEALTHREPORTS_FUZZ=1 $(BIN)/pytest tests/process/test_crash.py tests/process/test_cut_connections.py tests/generated tests/store tests/attacks
	$(BIN)/pytest -m thorough tests/store
	HEALTHREPORTS_FUZZ=1 $(BIN)/pytest -k at_once tests/oauth tests/web
	$(BIN)/pytest -m thorough tests/browser
	$(BIN)/pytest -s tests/process/try_power_loss.py
	$(BIN)/pytest tests/attacks/try_mixed_load.py
	$(BIN)/pytest tests/generators/try_generators.py

proxies: .venv/dev ## try the configurations of docs/how-to/proxies (needs nginx and Caddy)
	$(BIN)/pytest tests/proxies/try_proxies.py

.venv/bench: .venv/run requirements-bench.lock
	$(INSTALL) requirements-bench.lock
	touch $@

bench: .venv/bench ## compare with two peers, write bench/RESULTS.md (needs wrk, 2 cores)
	PYTHONPATH=tests $(BIN)/python bench/run.py
	PYTHONPATH=tests $(BIN)/python bench/deployed.py
	$(BIN)/python bench/versions.py

bench-scale: .venv/bench ## measure every list at ten million reports on both stores (hours, 30 GB of disk)
	PYTHONPATH=tests $(BIN)/python bench/scale.py
	PYTHONPATH=tests:tests/store $(BIN)/python bench/matrix.py

bench-pages: .venv/bench ## measure the portfolio at 10,000 workspaces against 100 on both stores
	PYTHONPATH=tests $(BIN)/python bench/pages.py

screenshots: .venv/dev .venv/browser ## take a screenshot of every page, for review (docs/screens)
	PYTHONPATH=tests $(BIN)/python tests/browser/screenshots.py

.PHONY: help install demo test collected check docs wheel image-test lock fuzz proxies bench bench-scale bench-pages screenshots
