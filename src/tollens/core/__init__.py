"""What all stand on: errors and their codes, readings, seeds, digests, units, the expression language."""
