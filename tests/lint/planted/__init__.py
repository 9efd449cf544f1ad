"""Impossible numbers planted on purpose, and clean twins of them, made from the laws alone.

Nothing here calls an invariant, an interval or a statistic of the package: each law is written again, in
fractions where it is rational and in floats where it is not, and its extremes are sought over the corners of
the rounding boxes.
"""
