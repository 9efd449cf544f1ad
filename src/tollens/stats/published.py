"""Small data sets of the literature, with which the tests of the kit are checked."""

from __future__ import annotations

# Extra hours of sleep of ten patients under two drugs (Student 1908, Biometrika 6, 1).
SLEEP_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SLEEP_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
SLEEP_DIFFERENCES = (-1.2, -2.4, -1.3, -1.3, 0.0, -1.0, -1.8, -0.8, -4.6, -1.4)

# Crossed minus self-fertilised maize, eighths of an inch (Darwin 1876; Fisher 1935, The Design of Experiments).
MAIZE = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)

# Fifteen p-values (Benjamini and Hochberg 1995, JRSS B 57, 289, section 3.2).
MYOCARDIAL = (
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
)  # fmt: skip

# Two systems on ten items, and which item belongs to which group: made up, small enough to check by hand.
SCORES_A = (1, 1, 0, 1, 0, 1, 1, 0, 1, 1)
SCORES_B = (1, 0, 0, 1, 0, 1, 0, 0, 1, 1)
GROUPS = (0, 0, 0, 1, 1, 2, 2, 2, 3, 3)
