# netbootd: everything a user or developer starts, each by one word.  Debian 12 or 13.

CONFIG ?= etc/netbootd.json
IFACE ?=
# More for pytest, such as ARGS='-k uefi -x', or for the benchmark.
ARGS ?=

# One process more than there are cores, since much is waiting for a time-out; one that has nothing
# left takes half of another's tests.
PYTEST = .venv/bin/python -m pytest --numprocesses $(shell expr $$(nproc) + 1) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run install test test-quick lint e2e fallbacks bench soak fuzz pins demo fresh clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, then serve with CONFIG=file (etc/netbootd.json), IFACE=name
	@[ "$$(id -u)" = 0 ] || { echo "netbootd listens on ports 67, 69 and 4011: run as root, 'sudo make run'" >&2; exit 1; }
	@tools/setup.sh run
	exec .venv/bin/netbootd run --config $(CONFIG) $(if $(IFACE),--interface $(IFACE))

install: ## make it a service of this host: /etc/netbootd, /usr/local, a systemd unit (root)
	@tools/install

test: ## linters, types, all tests, and the main boots with real firmware in QEMU (root)
	@tools/setup.sh test
	@$(MAKE) --no-print-directory checks
	$(PYTEST) -m "not e2e or ci" $(ARGS)

test-quick: ## the same without virtual machines and long transfers
	@tools/setup.sh quick
	@$(MAKE) --no-print-directory checks
	$(PYTEST) -m "not e2e and not slow" $(ARGS)

lint: ## ruff and mypy
	@[ -x .venv/bin/mypy ] || tools/setup.sh quick
	@$(MAKE) --no-print-directory checks

.PHONY: checks
checks:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

e2e: ## every boot with real firmware in QEMU, and other long tests: 1 GB of disk, 3 GB of memory, more than half an hour (root)
	@tools/setup.sh test
	$(PYTEST) -m e2e $(ARGS)

fallbacks: ## the tests of each protocol without each fast path in turn, ARGS='NAME …'; twenty minutes (root)
	@tools/setup.sh test
	.venv/bin/python -m tests.every_fallback $(ARGS)

bench: ## how fast it is, beside dnsmasq, nginx, atftpd and others; ten minutes (root)
	@tools/setup.sh bench
	.venv/bin/python -m tests.bench $(ARGS)

soak: ## hours of mixed load and faults, ARGS='--minutes 60': does anything grow, does any boot fail (root)
	@tools/setup.sh bench
	.venv/bin/python -m tests.soak $(ARGS)

fuzz: ## millions of inputs for what reads a stranger's bytes, ARGS='dhcp --runs 10000000'; goes on where it was
	@tools/setup.sh quick
	.venv/bin/python -m tests.fuzz $(ARGS)

pins: ## pin the newest versions of all Python packages, with their hashes, in tools/pins
	tools/renew-pins $(ARGS)

demo: ## watch a UEFI machine boot from the network, without any hardware (root)
	@tools/setup.sh demo
	.venv/bin/python -m tests.end_to_end.demo

fresh: ## try 'make run' and 'make test-quick' on newly made Debian 12 and 13 (root)
	tools/fresh

clean: ## remove the virtual environment and everything downloaded
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
