"""The pipelines that a user submits, and what compiles them."""
