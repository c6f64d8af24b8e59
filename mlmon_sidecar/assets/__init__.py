"""Dashboards, rules, monitors and a Collector's configuration, all made from the catalogue of ``export``."""
