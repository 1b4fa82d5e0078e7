"""Prediction from the command line: what the folders hold, what is written, and the run over all images."""
