#!/usr/bin/env bash
# The tests, on two processes. One thread each: numbers are small, and threads of several processes would only collide.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PATH="$PWD/.venv/bin:$PATH"
exec python -m pytest -n 2 --dist loadfile "$@"
