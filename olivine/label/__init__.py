"""Stage `label`: one weak category and a confidence for every pixel and every pair of every keyframe."""
