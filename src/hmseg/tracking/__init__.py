"""Weights & Biases: what a run is called there, what is sent, and how its checkpoints are found again.

wandb itself is imported where it is first used, never when these modules are.
"""
