#!/usr/bin/env bash
# Fetch MobileSAM's weights once (38 MB, digest checked) into the cache folder. Without them the demo goes on
# with a stand-in and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f "${OLIVINE_CACHE:-$HOME/.cache/olivine}/weights/mobile_sam.safetensors" ] && exit 0
printf '\033[1m==>\033[0m image encoder weights (MobileSAM, Apache-2.0, 41 MB)\n'
.venv/bin/python -m olivine.models.image.fetch ||
    printf 'weights: could not be fetched; the demo will use the stand-in encoder and name it.\n' >&2
