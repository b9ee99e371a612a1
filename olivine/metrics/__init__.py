"""Metrics of semantic segmentation, counted exactly and equal to the official evaluators. Never imports torch."""
