#!/bin/sh
# Make the virtual environment with everything for running, testing and the demo.
set -eu

PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    echo "No $PYTHON here. Install Python 3.11 or later (Debian: apt-get install python3 python3-venv)." >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Skyfold needs Python 3.11 or later; $PYTHON is $("$PYTHON" -V). Try: make PYTHON=python3.12" >&2
    exit 1
fi
if [ ! -x "$VENV/bin/python" ]; then
    if ! "$PYTHON" -c 'import ensurepip' >/dev/null 2>&1; then
        # Debian ships venv apart from Python.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "Installing python3-venv ..."
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        else
            echo "Python has no venv here. Run: sudo apt-get install python3-venv" >&2
            exit 1
        fi
    fi
    "$PYTHON" -m venv "$VENV"
fi
echo "Installing Skyfold and what it needs into $VENV ..."
"$VENV/bin/python" -m pip install --quiet --upgrade pip
"$VENV/bin/python" -m pip install --quiet --editable '.[test]'
