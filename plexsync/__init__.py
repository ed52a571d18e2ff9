"""PlexSync: edits made in Stash reach Plex, and none is ever lost.

Who imports whom: ``hook`` imports ``queue.events``, ``queue.database`` and ``queue.spool``, ``locks``, ``protocol``
and otherwise only the standard library; ``core`` imports nothing but itself; ``queue`` imports ``core``; ``servers``
imports ``core`` and ``queue``; ``sync`` imports those three and is handed its servers, clock and chance; ``ui`` imports
everything above, and ``__main__`` what it routes to once it knows where to go. ``sync_queue`` holds the names of the
original plans, over ``queue``. Every room's ``__init__`` says what it is for; ``tests/test_map.py`` compares all of
this with the imports there are.
"""

__version__ = "0.1.0"
