"""What cannot be: invariants over reported numbers."""
