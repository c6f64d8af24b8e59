"""The mlmon command."""
