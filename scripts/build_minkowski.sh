#!/usr/bin/env bash
# Builds the wheel of MinkowskiEngine once (for the CPU: about 8 minutes on 2 cores), keeps it, and installs it.
#
#   PYTHON=.venv/bin/python scripts/build_minkowski.sh
#   PYTHON=.venv/bin/python MINKOWSKI_FOR=cuda TORCH_CUDA_ARCH_LIST=9.0 scripts/build_minkowski.sh
#
# For CUDA 12 and 13 the source lacks what minkowski_cuda.h gives it; no file of it is edited. The wheel is bound to one
# torch and one Python, so the cache folder is named after both and after the source.
set -euo pipefail

readonly VERSION=0.5.4
readonly SOURCE_SHA256=b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94

fail() {
    echo "build_minkowski: $*" >&2
    exit 78
}

PYTHON=${PYTHON:-.venv/bin/python}
command -v "$PYTHON" >/dev/null || fail "no Python at '$PYTHON'. Run make setup first, or set PYTHON."
# setup.py calls `pip` and ninja by name: they must be those of this environment.
bin_dir=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("scripts"))')
export PATH="$bin_dir:$PATH"

target=${MINKOWSKI_FOR:-cpu}
case $target in
    cpu) option=--cpu_only ;;
    cuda)
        option=--force_cuda
        header=$(cd "$(dirname "$0")" && pwd)/minkowski_cuda.h
        # The copy of NVTX in the source clashes with the one of CUDA since 12.2.
        export NVCC_APPEND_FLAGS="-include $header -DCCCL_DISABLE_NVTX ${NVCC_APPEND_FLAGS:-}"
        # Thrust, which sources for g++ name as well: since CUDA 13 in a folder of its own, which nvcc alone finds.
        export CPLUS_INCLUDE_PATH="${CUDA_HOME:-/usr/local/cuda}/include/cccl:${CPLUS_INCLUDE_PATH:-}"
        ;;
    *) fail "MINKOWSKI_FOR is $target: say cpu or cuda." ;;
esac

identity=$("$PYTHON" -c 'import sys, torch; print(f"{torch.__version__}-cp{sys.version_info.major}{sys.version_info.minor}")') ||
    fail "$PYTHON cannot import torch. Run make setup first."
wheels="${OLIVINE_CACHE:-$HOME/.cache/olivine}/wheels/minkowski-$identity-${SOURCE_SHA256:0:12}"
[[ $target == cpu ]] || wheels="$wheels-$target"

find_wheel() {
    find "$wheels" -maxdepth 1 -iname "minkowskiengine-$VERSION-*.whl" -print -quit 2>/dev/null || true
}

check_toolchain() {
    command -v g++ >/dev/null || fail "g++ is missing. Run: apt-get install -y --no-install-recommends g++"
    g++ -E -x c++ - -o /dev/null <<<'#include <cblas.h>' 2>/dev/null ||
        fail "OpenBLAS headers are missing. Run: apt-get install -y --no-install-recommends libopenblas-dev"
    [[ $target == cpu ]] || [[ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]] ||
        fail "no nvcc in ${CUDA_HOME:-/usr/local/cuda}/bin. Install the CUDA toolkit of this torch, or set CUDA_HOME."
    local include_dir
    include_dir=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [[ -f "$include_dir/Python.h" ]] ||
        fail "no Python.h in $include_dir. Run: apt-get install -y --no-install-recommends python3-dev"
    "$PYTHON" -c 'import setuptools, wheel, packaging, ninja, pip' ||
        fail "build tools are missing. Run: $PYTHON -m pip install pip setuptools wheel packaging ninja"
}

build() {
    local scratch
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' RETURN
    # A requirements file, because only there does pip check a hash before it runs setup.py; and pip takes the settings
    # of such a requirement from its line alone, and only on the PEP 517 path, which older pips leave unless told.
    # BLAS is named because its detection needs numpy.distutils.
    echo "MinkowskiEngine==$VERSION --hash=sha256:$SOURCE_SHA256" \
        "--config-settings=\"--global-option=$option\" --config-settings=\"--global-option=--blas=openblas\"" \
        >"$scratch/requirements.txt"
    # The default -g makes a library of 72 MB instead of 1.5 MB.
    MAX_JOBS=${MAX_JOBS:-$(nproc)} CFLAGS=-g0 "$PYTHON" -m pip wheel --require-hashes --no-deps --no-build-isolation --use-pep517 \
        --no-binary MinkowskiEngine --no-cache-dir --wheel-dir "$scratch" --requirement "$scratch/requirements.txt"
    mkdir -p "$wheels"
    # Copied beside its place and renamed, so that a killed run never leaves half a wheel to reuse.
    local built
    built=$(find "$scratch" -maxdepth 1 -iname "minkowskiengine-$VERSION-*.whl" -print -quit)
    cp "$built" "$wheels/.partial" && mv "$wheels/.partial" "$wheels/$(basename "$built")"
}

if [[ -z "$(find_wheel)" ]]; then
    check_toolchain
    echo "build_minkowski: compiling MinkowskiEngine $VERSION for $target, torch $identity (for the CPU about 8 minutes on 2 cores)"
    build
fi
"$PYTHON" -m pip install --no-deps --force-reinstall --quiet "$(find_wheel)"
echo "build_minkowski: installed $(basename "$(find_wheel)") from $wheels"
