"""Mutated inputs for every reader of files that somebody else may have written: ``make fuzz``."""
