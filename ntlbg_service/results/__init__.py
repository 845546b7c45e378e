"""Results of attempts, read back from storage beside the ledger."""
