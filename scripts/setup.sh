#!/usr/bin/env bash
# Make .venv with pinned dependencies, or find it as it should be. Usage: scripts/setup.sh demo|test|bench
# Nothing is installed outside this checkout and the cache folder (OLIVINE_CACHE, default ~/.cache/olivine).
set -euo pipefail
cd "$(dirname "$0")/.."
want=${1:?usage: scripts/setup.sh demo|test|bench}
torch="torch==2.14.1 torchvision==0.29.1"
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

python=""
for candidate in "${PYTHON:-}" python3.12 python3.11 python3; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ "$(uname -sm)" = "Linux x86_64" ] || fail "this needs Linux on x86-64, found $(uname -sm)."
[ -n "$python" ] || fail "no Python 3.11 or 3.12 found (python3 is $(python3 --version 2>&1 || true)). On Debian 12: apt-get install python3.11 python3.11-venv python3.11-dev"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python$version-venv"
[ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing="$missing python$version-dev"
for tool in git make g++; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
[ -z "$missing" ] || fail "system packages are missing:$missing. Install them: apt-get install$missing"

stamp=$(cat "requirements/$want.txt" "$0" | sha256sum | cut -c1-16)-$version-${TORCH_INDEX:-default}
level() { case $1 in demo) echo 1 ;; test) echo 2 ;; bench) echo 3 ;; *) fail "unknown set $1" ;; esac; }
have=$(cat .venv/olivine-stamp-* 2>/dev/null | head -1 || true)
for set in demo test bench; do
    # A larger set holds the smaller ones.
    [ "$(level "$set")" -ge "$(level "$want")" ] || continue
    mark=$(cat "requirements/$set.txt" "$0" | sha256sum | cut -c1-16)-$version-${TORCH_INDEX:-default}
    if [ "$have" = "$set $mark" ]; then exit 0; fi
done

say "environment .venv with Python $version ($want)"
[ -x .venv/bin/python ] && [ "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ] || {
    rm -rf .venv
    "$python" -m venv .venv
}
rm -f .venv/olivine-stamp-*
pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install --require-hashes --no-deps -r requirements/build.txt
say "torch and torchvision (TORCH_INDEX chooses their package index; a CPU-only one saves 5 GB)"
# shellcheck disable=SC2086
$pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} $torch
say "locked dependencies (requirements/$want.txt)"
$pip install --require-hashes --no-deps --no-build-isolation -r "requirements/$want.txt"
$pip install --no-deps --no-build-isolation --editable .
.venv/bin/python -m pip check >/dev/null || fail "the environment does not fit together: run .venv/bin/pip check"
echo "$want $stamp" >".venv/olivine-stamp-$want"
say "ready"
