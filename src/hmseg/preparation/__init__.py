"""Preparation of the benchmarks: download, unpack, build masks, fetch lists, verify.

``hmseg.prepare`` is the entry point; :func:`hmseg.preparation.run.run` does the work.
"""
