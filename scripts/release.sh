#!/usr/bin/env bash
# A release, step by step, into dist/ (docs/release.md):
#   scripts/release.sh files                           the wheel, and its bill of materials from the lock
#   scripts/release.sh images REPOSITORY NAME@DIGEST   the images on this base, pushed; bills of materials; the pipelines
#   scripts/release.sh sign                            checksums of dist/, signed; the images too where cosign has a key
set -euo pipefail
cd "$(dirname "$0")/.."
dist=${OLIVINE_DIST:-dist}
python=.venv/bin/python
tools=build/release-tools
engine=${ENGINE:-podman}
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'release: %s\n' "$*" >&2; exit 64; }

# In an environment of its own: a release must not change that of the tests.
bill_of_materials() {
    if [ ! -x "$tools/bin/cyclonedx-py" ]; then
        $python -m venv "$tools"
        "$tools/bin/pip" --disable-pip-version-check --quiet install cyclonedx-bom==7.5.0
    fi
    "$tools/bin/cyclonedx-py" requirements --pyproject pyproject.toml --output-reproducible \
        --spec-version 1.6 --output-format JSON --output-file "$2" "$1"
}

require_clean() {
    [ -z "$(git status --porcelain)" ] || fail "the working tree has changes: a release says which commit it is."
}

make_files() {
    require_clean
    mkdir -p "$dist"
    say "wheel"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) $python -m pip --disable-pip-version-check --quiet wheel \
        --no-deps --no-build-isolation --wheel-dir "$dist" .
    say "bill of materials of the lock"
    bill_of_materials requirements/demo.txt "$dist/olivine.cdx.json"
}

make_images() {
    local repository=$1 base=$2 target digest
    [[ $base == *@sha256:* ]] || fail "the base image $base is not named by digest: write name@sha256:..."
    require_clean
    mkdir -p "$dist"
    : >"$dist/images.txt"
    for target in pipeline train-cpu train-cuda; do
        say "image $target"
        $engine build -f docker/Dockerfile --target "$target" --build-arg "BASE=$base" \
            --build-arg "REVISION=$(git rev-parse HEAD)" --build-arg "MINKOWSKI=${MINKOWSKI:-off}" -t "$repository-$target:release" .
        $engine push --digestfile "$dist/$target.digest" "$repository-$target:release"
        digest=$(cat "$dist/$target.digest")
        rm "$dist/$target.digest"
        echo "$repository-$target@$digest" >>"$dist/images.txt"
        $engine run --rm "$repository-$target:release" python -m pip freeze --all >"$dist/$target.freeze.txt"
        bill_of_materials "$dist/$target.freeze.txt" "$dist/$target.cdx.json"
    done
    say "pipelines for the image of this release"
    $python -m pipelines.compile --image "$(grep -- -train-cuda@ "$dist/images.txt")" --out "$dist/pipelines"
}

sign_all() {
    local key=${OLIVINE_SIGNING_KEY:-}
    [ -n "$key" ] || fail "OLIVINE_SIGNING_KEY names no key: openssl genpkey -algorithm ed25519 makes one."
    [ -d "$dist" ] || fail "$dist is not there: make the files first."
    say "checksums, signed"
    (cd "$dist" && find . -type f ! -name 'SHA256SUMS*' -print0 | sort -z | xargs -0 -r sha256sum) >"$dist/SHA256SUMS"
    openssl pkeyutl -sign -rawin -inkey "$key" -in "$dist/SHA256SUMS" -out "$dist/SHA256SUMS.sig"
    if [ -s "$dist/images.txt" ]; then
        [ -n "${COSIGN_KEY:-}" ] || fail "COSIGN_KEY names no key for the images of $dist/images.txt."
        while read -r image; do cosign sign --yes --key "$COSIGN_KEY" "$image"; done <"$dist/images.txt"
    fi
}

case ${1:-} in
    files) make_files ;;
    images) [ $# -eq 3 ] || fail "images takes a repository and a base image."; make_images "$2" "$3" ;;
    sign) sign_all ;;
    *) fail "say which step: files, images or sign." ;;
esac
