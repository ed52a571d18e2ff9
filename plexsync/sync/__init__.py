"""Who carries it out: the worker and what it does with a job. Imports ``core``, ``queue`` and ``servers``."""
