"""The component `pretrain`."""
