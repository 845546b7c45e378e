"""The theory behind the selection, each claim as a statistic, a bound and a verdict.

`python -m ntlbg_model.validation` prints the table and exits 1 where a claim does not hold. The
checks use the package's own functions, on laws whose right answer is known and on one rendered
video. What they say about real benchmarks is nothing: that is what suites are for.
"""
