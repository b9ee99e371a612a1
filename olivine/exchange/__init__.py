"""Network weights from and to other programs: their checkpoint layouts, read safely and written whole."""
