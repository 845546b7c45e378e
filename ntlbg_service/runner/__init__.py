"""The process inside a launch. It uses its spec, storage and the model; no ledger, no MLflow."""
