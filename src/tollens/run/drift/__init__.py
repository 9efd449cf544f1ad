"""Drift: every place where the record of a repository no longer agrees with itself."""
