"""A stand-in for Stash 0.30.1+ (schema of January 2026), spoken to over real sockets.

``catalog`` and ``finding`` (with ``filters`` and ``criteria``) hold the library and know neither HTTP nor GraphQL;
``firing`` runs plugins as real processes; ``jobs`` is the queue; ``resolvers`` and ``operations`` answer the schema's
fields through ``execute``; ``routes`` is the only one that knows HTTP. Nothing here imports plexsync: a stand-in must
not share our mistakes.
"""
