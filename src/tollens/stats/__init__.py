"""Chance: laws and tests that several instruments share; numpy and scipy only."""
