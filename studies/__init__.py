"""Figures that the documentation quotes: ``python -m studies.<name>`` prints a table and writes a JSON."""
