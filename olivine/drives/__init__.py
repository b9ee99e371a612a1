"""Reading a `drives` artifact: keyframes, their splits, their images and, for those who may, their hand labels."""

from olivine.drives.reader import CAMERAS, Drives, Keyframe

__all__ = ["CAMERAS", "Drives", "Keyframe"]
