"""What is kept: the ledger of a study, append-only."""
