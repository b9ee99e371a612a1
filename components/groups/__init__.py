"""The component `groups`."""
