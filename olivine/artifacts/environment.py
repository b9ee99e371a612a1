"""What surrounds a run: host, device, container image. Facts for records, never part of an identity."""

from __future__ import annotations

import os
import platform
import socket
import sys


def image_digest() -> str | None:
    """Digest of the container image this runs in, as the platform tells it in OLIVINE_IMAGE_DIGEST."""
    return os.environ.get("OLIVINE_IMAGE_DIGEST") or None


def describe_host() -> dict[str, str | int]:
    """Host, processor and Python, for the record of a run."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "cores": len(os.sched_getaffinity(0)),
        "device": _device_name(),
    }


def _device_name() -> str:
    # Only where torch is loaded anyway: ingest and weigh must not import it.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "cpu"
