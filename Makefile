# Every target does its own set-up: Debian packages (as root) and the .venv.
SHELL := /bin/sh
PYTHON := /usr/bin/python3
PYTEST := .venv/bin/python -m pytest
# What the virtual environment is built with, and what hosts, faults and checks are made of.
VENV_PACKAGES := python3 python3-venv python3-dev gcc pkg-config libsystemd-dev
PACKAGES := $(VENV_PACKAGES) curl dbus etcd-server etcd-client iproute2 \
	nftables procps systemd-container shellcheck vagrant vagrant-libvirt \
	bzip2 xz-utils podman crun busybox-static python3-marathon prometheus

.NOTPARALLEL:
.PHONY: demo test corpus check bench down vagrant-test

demo: packages .venv/.stamp
	.venv/bin/python -m fleetish.lab.demo

test: packages .venv/.stamp
	$(PYTEST)

corpus: packages .venv/.stamp
	.venv/bin/python -m tests.corpus

check: .venv/.stamp
	$(PYTEST) -n 2 --dist loadfile -m "not lab and not etcd and not root"

bench: packages .venv/.stamp
	.venv/bin/python -m bench

down: .venv/.stamp
	.venv/bin/fleetish lab down

vagrant-test: packages .venv/.stamp
	.venv/bin/python -m vagrant.emulated

# Asks apt only for what is missing; without root, says what that is.
define install
@missing=$$(for p in $(1); do \
	dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
if [ -n "$$missing" ] && [ "$$(id -u)" != 0 ]; then \
	echo "cannot install packages as this user; as root:" >&2; \
	echo "    apt-get install" $$missing >&2; exit 1; fi; \
if [ -n "$$missing" ]; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

.PHONY: packages venv-packages
packages:
	$(call install,$(PACKAGES))

venv-packages:
	$(call install,$(VENV_PACKAGES))

.venv/.stamp: pyproject.toml | venv-packages
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
