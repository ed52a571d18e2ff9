"""PlexSync: edits made in Stash reach Plex, and none is ever lost.

Who imports whom: ``hook`` imports ``intake``, ``locks`` and ``protocol`` and otherwise only the standard library;
``core`` imports nothing but itself; ``store`` and ``memory_store`` import ``core`` and ``intake``; ``stash`` and
``plex`` import ``core``; ``worker`` is handed its store, servers, clock and chance; ``tasks`` and ``cli`` stand on
top, and ``__main__`` imports what it routes to once it knows where to go. ``tests/test_map.py`` holds us to it.
"""

__version__ = "0.1.0"
