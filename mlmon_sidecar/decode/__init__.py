"""From bodies to columns. One file per wire protocol."""
