"""Tiers and the life of an incident."""
