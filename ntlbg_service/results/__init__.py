"""Results of attempts, read from storage and the ledger."""
