# Two commands do it all on a machine that has make and Python 3.11 to 3.14 with venv:
#
#     make run      the proxy, recording into SQLite
#     make test     the tests
#
# Each finds a fitting Python, makes the virtual environment, installs the locked dependencies and goes;
# the second time it just goes. Settings, on the command line or in the environment:
#
#     ARGS          handed on:                 make test ARGS="-k sse -x"
#     PYTHON        the interpreter to use:    make test PYTHON=python3.12
#     VENV          where the environment is:  make test VENV=.venv-3.12
#
# Plain POSIX make, so that BSD's will do, and the old GNU make of macOS.

VENV ?= .venv

BIN = $(VENV)/bin
READY = $(VENV)/.ready
PIP = PIP_USER=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check

help:
	@echo 'make run      start the proxy, recording into SQLite (ARGS="--port 9090")'
	@echo 'make test     run the tests (ARGS="-k sse -x")'
	@echo 'make lint     check style and types'
	@echo 'make bench    measure against plain mitmdump'
	@echo 'make venv     only make the environment, then: . $(BIN)/activate'
	@echo 'make lock     renew requirements.txt from pyproject.toml (needs uv)'
	@echo 'make clean    remove the environment and the caches'

run: venv
	@exec $(BIN)/aitap run $(ARGS)

test: venv
	@# Neighbours share proxies and databases: each worker begins with a stretch of its own.
	@exec $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: venv
	$(BIN)/ruff check . addon
	$(BIN)/ruff format --check . addon
	$(BIN)/mypy

bench: venv
	@exec $(BIN)/python -m bench $(ARGS)

venv: fresh $(READY)

# The stamp says where the environment is and of which Python. One that was moved, that lost its Python, or that is
# not of the Python asked for now is made anew.
ORIGIN = pwd; "$${PYTHON:-$(BIN)/python}" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null
fresh:
	@test ! -f $(READY) || test "`cat $(READY)`" = "`$(ORIGIN)`" || rm -f $(READY)

# A name on the path is no proof of an interpreter (pyenv's shims may only print an error), so each one is tried.
$(READY): requirements.txt pyproject.toml
	@test -f $@ || { \
		for python in $${PYTHON:-python3.13 python3.14 python3.12 python3.11 python3 python}; do \
			"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1 || continue; \
			fits=$${fits:-$$python}; \
			"$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && makes=$$python && break; \
		done; \
		if test -n "$$makes"; then \
			echo "aitap: making $(VENV) with `$$makes --version`"; \
			"$$makes" -m venv --clear $(VENV); \
		elif test -n "$$fits"; then \
			echo "aitap: $$fits lacks the venv module (on Debian and Ubuntu: apt install python3-venv); or name another: PYTHON=..." >&2; exit 1; \
		else \
			echo "aitap: found no Python 3.11 to 3.14 as $${PYTHON:-python3.13, python3.14, python3.12, python3.11 or python3}; install one, or name it: PYTHON=..." >&2; exit 1; \
		fi; \
	}
	@echo 'aitap: installing the locked dependencies (once, about a minute) ...'
	@# Not compiled beforehand: most of it is never imported, and the rest is compiled when it is.
	@$(PIP) --no-compile --require-hashes -r requirements.txt
	@echo 'aitap: installing aitap itself ...'
	@$(PIP) --no-deps --no-build-isolation --editable .
	@{ $(ORIGIN); } >$@

lock:
	@command -v uv >/dev/null || { echo 'aitap: make lock needs uv: https://docs.astral.sh/uv' >&2; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --extra dev --output-file requirements.txt pyproject.toml

clean:
	test ! -f $(VENV)/pyvenv.cfg || rm -rf $(VENV)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

# One after the other, also under -j: the stamp is looked at only after the check of it.
.NOTPARALLEL:
.PHONY: help run test lint bench venv fresh lock clean
