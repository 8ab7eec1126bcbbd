"""Figures that the documentation quotes: ``python -m benchmarks.<name>`` prints a table and writes a JSON."""
