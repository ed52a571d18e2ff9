"""Who it is about: clients of Stash and Plex, and what is known of each scene there. Imports ``core`` and ``queue``."""
