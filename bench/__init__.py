"""Benchmarks: each prints ratios against a baseline of the same run. Run all of them with `make bench`."""
