"""Where edits wait. Imports ``core``, ``clock``, ``locks`` and ``protocol``; its store alone imports persist-queue."""
