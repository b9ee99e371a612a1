"""The component `weigh`."""
