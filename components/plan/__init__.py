"""The component `plan`."""
