"""The component `close`."""
