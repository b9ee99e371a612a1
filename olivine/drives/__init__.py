"""Reading a `drives` artifact: keyframes, their splits, their images and, for those who may, their hand labels."""

from olivine.drives.reader import CAMERAS, KEYFRAMES, Drives, Keyframe

__all__ = ["CAMERAS", "KEYFRAMES", "Drives", "Keyframe"]
