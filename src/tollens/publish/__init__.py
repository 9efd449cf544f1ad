"""What is shown: reports that open from disk with no network."""
