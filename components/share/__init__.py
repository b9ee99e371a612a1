"""The component `share`."""
