"""Sweeps: many jobs of one program, on this machine or a cluster, of which what is done is not done again.

``hydra/launcher=…`` chooses the engine (``sequential``, ``joblib``, ``submitit_local``, ``submitit_slurm``)
and ``hydra/sweeper=optuna`` the search for hyper-parameters; their settings stand in ``conf/hydra``.
Importing this package imports neither PyTorch nor an engine.
"""
