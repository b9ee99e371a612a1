"""Bad frames are left out with their reason and counted; too many of them fail the stage."""

from __future__ import annotations

from olivine.artifacts import Quarantined
from olivine.errors import DataError

MAX_BAD_SHARE = 0.05


class Quarantine:
    """Collects the frames that a stage leaves out."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.frames: list[Quarantined] = []

    def add(self, frame: str, reason: str) -> None:
        """Leave a frame out."""
        self.frames.append(Quarantined(frame=frame, reason=reason))

    def check(self, num_frames: int) -> None:
        """Raise DataError when more than 5 % of `num_frames` were left out, naming the first of them."""
        if len(self.frames) > MAX_BAD_SHARE * num_frames:
            first = "\n".join(f"  {item.frame}: {item.reason}" for item in self.frames[:5])
            more = f"\n  and {len(self.frames) - 5} more" if len(self.frames) > 5 else ""
            raise DataError(
                f"{self._stage}: {len(self.frames)} of {num_frames} keyframes are bad, more than "
                f"{MAX_BAD_SHARE:.0%} may be:\n{first}{more}\nRepair or remove them and run again."
            )
