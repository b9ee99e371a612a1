#!/usr/bin/env bash
# Format, lint, types, import contracts, that the compiled pipelines are those of their source, the images, no secrets.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
step() { printf '%-22s' "$1"; shift; if out=$("$@" 2>&1); then echo ok; else echo FAILED; echo "$out"; exit 1; fi; }
step "ruff format" ruff format --check .
step "ruff check" ruff check .
step "mypy --strict" mypy
step "import contracts" lint-imports
step "compiled pipelines" python -m pipelines.compile --check
step "Dockerfile" hadolint docker/Dockerfile
step "secrets" scripts/secrets.sh
