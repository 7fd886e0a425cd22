"""The broker: its topology and who may change it, connections, confirmed publishing, emitting."""
