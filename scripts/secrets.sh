#!/usr/bin/env bash
# Look for secrets in the files of the repository, or in those that are named. A line that is none says so itself:
# `pragma: allowlist secret`. Not looked at: hashes of the locks, SHA-256 digests, names of our Kubernetes secrets.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then printf '%s\0' "$@"; else git ls-files -z; fi |
    xargs -0 .venv/bin/detect-secrets-hook --no-verify \
        --exclude-files '^requirements/.*\.txt$' \
        --exclude-secrets '^[0-9a-f]{64}$' \
        --exclude-secrets '^(olivine-s3|seaweedfs-identities|AWS_[A-Z_]+)$'
