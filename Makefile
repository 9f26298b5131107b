# Every target sets up what it needs, says so, and is quick when run again.
# `make test` and `make demo` want root on Debian 12 or newer; `make lint` wants neither.

PYTEST = .venv/bin/python -m pytest
# What the tests say when they run as a part of `make`: no colours or progress bars in a log.
PYTEST_ARGS ?=
WINDOWS_TESTS = tests/windows tests/hcs tests/runhcs tests/win32
# What runs on Windows is checked once more as mypy sees it there.
WINDOWS_SOURCES = src/podshim/runhcs.py src/podshim/win32 src/podshim/hcsspec src/podshim/engines/hcs \
    src/podshim/task src/podshim/shim/runhcs src/podshim/transport src/podshim/manager tests/windows/cases
LINUX_ONLY = (transport/unix|manager/(linux|mounts|processes|stdio))\.py$$

.PHONY: help
help:
	@echo 'make test                         lint, types, and all tests'
	@echo 'make test-windows                 the tests of the Windows shim alone, under Wine'
	@echo 'make compare-original             Microsoft'"'"'s shim and ours, case by case: a table'
	@echo 'make demo                         a pod under a private containerd, explained'
	@echo 'make demo-windows                 a pod of Windows containers under Wine, explained'
	@echo 'make lint                         ruff, mypy and the layer rule alone'
	@echo 'make test-containerd VERSION=...  the end-to-end tests with that containerd, e.g. 2.4.2'
	@echo 'make bench                        what a start and a ttrpc call cost'
	@echo 'make clean                        remove what was generated'

.PHONY: test
test: setup lint
	@scripts/get-containerd debian13
	@scripts/get-interop
	@scripts/get-windows
	.venv/bin/python scripts/run_tests.py --everything $(PYTEST_ARGS)

.PHONY: test-windows
test-windows: setup
	@scripts/get-windows
	$(PYTEST) --everything $(PYTEST_ARGS) $(WINDOWS_TESTS)

.PHONY: compare-original
compare-original: setup
	@scripts/get-windows
	@PYTHONPATH=tests .venv/bin/python -m windows.compare $(CASES)

.PHONY: lint
lint: setup-lint
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/mypy --platform win32 --no-warn-unreachable --follow-imports silent \
	    --cache-dir .mypy_cache/win32 --exclude '$(LINUX_ONLY)' $(WINDOWS_SOURCES)
	.venv/bin/lint-imports

.PHONY: test-containerd
test-containerd: setup
	@test -n '$(VERSION)' || { echo 'usage: make test-containerd VERSION=2.4.2' >&2; exit 2; }
	@scripts/get-containerd '$(VERSION)'
	$(PYTEST) --everything --containerd '$(VERSION)' $(PYTEST_ARGS) tests/containerd

.PHONY: demo
demo: setup
	@.venv/bin/python demo

.PHONY: demo-windows
demo-windows: setup
	@.venv/bin/python demo/windows

.PHONY: bench
bench: setup
	@for each in bench/*.py; do echo "==> $$each"; .venv/bin/python "$$each" || exit; done

.PHONY: setup
setup:
	@scripts/setup

.PHONY: setup-lint
setup-lint:
	@scripts/setup lint

.PHONY: clean
clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
