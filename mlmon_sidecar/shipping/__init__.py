"""Exchanges on their way to a hub of the same host, undecoded: the bytes of ``ship = "raw"`` and their numbers."""
