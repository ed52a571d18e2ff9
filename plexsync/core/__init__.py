"""Decisions: values in, values out. No input, output, clock, chance or third party in here."""
