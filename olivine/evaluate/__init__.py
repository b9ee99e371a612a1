"""Stage `evaluate`: score a segmenter on a split, by the official definition."""
