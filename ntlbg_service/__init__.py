"""The service: suites, fit, plan, queue, runs, tracking and comparison."""
