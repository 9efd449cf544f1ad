"""How it is measured: one file a measurement; pure, no disk, no global random state."""
