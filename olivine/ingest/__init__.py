"""Stage `ingest`: raw drives in, packed keyframes with point-pixel pairs out."""
