#!/usr/bin/env bash
# Resolve the dependencies anew: one hashed list for each set, the larger ones holding the smaller.
# torch, torchvision and what only they bring (nvidia-*, cuda-*, triton) stay outside: their index is a choice.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
$python -m pip --disable-pip-version-check --quiet install uv==0.13.9
outside=$($python -m pip list --format=freeze | grep -oiE '^(nvidia|cuda)[^=]*' | sed 's/^/--no-emit-package /' | tr '\n' ' ')
common="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet"
common="$common --no-emit-package torch --no-emit-package torchvision --no-emit-package triton --no-emit-package setuptools $outside"
extras="--extra train --extra synth --extra pipeline --extra official --extra superpixels"
compile() { $python -m uv pip compile "$@" >/dev/null; }
rm -f requirements/*.txt
# shellcheck disable=SC2086
{
    compile pyproject.toml $extras $common -o requirements/demo.txt
    compile pyproject.toml $extras --extra label --extra view --extra figures --extra dev -c requirements/demo.txt $common -o requirements/test.txt
    compile pyproject.toml $extras --extra label --extra view --extra figures --extra dev --extra bench -c requirements/test.txt $common -o requirements/bench.txt
    compile requirements/build.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements/build.txt
}
