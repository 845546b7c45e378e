"""The process inside a launch. Knows its spec, storage and the model; no ledger, no MLflow."""
