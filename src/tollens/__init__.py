"""Tollens tries to kill a claim about a neural network as cheaply as it can."""
