"""Training losses, one a file: pure functions of features and categories, and one module that keeps statistics."""
