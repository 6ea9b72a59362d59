#!/usr/bin/env bash
# Makes .venv: a virtual environment with uv, this package (editable) and everything demo and tests need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "setup: $1" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "needs Python 3.11, 3.12 or 3.13; python3 is $(python3 --version 2>/dev/null || echo missing)"
}

command -v git >/dev/null || fail "needs git (the demo trains from a commit of a Git repository)"
python=$(find_python)
started=$SECONDS
echo "setup: virtual environment in .venv with $("$python" --version)"
rm -rf .venv
"$python" -m venv .venv || fail "$python has no working venv module (on Debian and Ubuntu: apt install python3-venv)"
.venv/bin/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt uv ||
  fail "could not install uv from the package registry"
# Compiled at once: otherwise the first processes of Airflow compile the same files side by side.
VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip install --quiet --compile-bytecode \
  --constraint constraints.txt --editable '.[dev]' || fail "could not install the packages of constraints.txt"
seconds=$((SECONDS - started))
echo "$seconds" >.venv/ready
echo "setup: done in $seconds s"
