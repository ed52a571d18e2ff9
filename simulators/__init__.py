"""Stand-ins for Plex Media Server and Stash, spoken to over real sockets by unmodified clients.

Imports: the standard library and the packages of the `simulators` extra; never plexsync, since a stand-in
must not share our mistakes. Anything may import the simulators.
"""
