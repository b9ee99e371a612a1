"""The component `compare`."""
