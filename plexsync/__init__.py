"""PlexSync: edits made in Stash reach Plex, and none is ever lost.

Who imports whom: ``hook`` imports ``intake``, ``locks`` and ``protocol`` and otherwise only the standard library;
``core`` imports nothing but itself; ``store`` and ``memory_store`` import ``core``, ``intake`` and what they share,
``door``; ``stash`` and ``plex`` import ``core``; ``engine`` goes from scenes to edits on servers that are handed to
it, ``writers`` carry them out side by side, and ``worker`` is handed its store, clock and chance too; ``diff`` stops
where ``engine`` would write, and ``page`` shows it; ``session`` holds what ``tasks``, ``doctor`` and ``cli`` on top of
it all work with, and ``__main__`` imports what it routes to once it knows where to go. ``tests/test_map.py`` holds us
to it.
"""

__version__ = "0.1.0"
