"""A stand-in for Plex Media Server 1.41, as python-plexapi 4.18 sees it.

    library.py   the model: sections, items, fields, tags, locks, scans, play state; knows no HTTP
    edits.py     what the parameters of an edit ask for
    search.py    filters, operators and sorts
    images.py    posters, arts and the like of one item
    prefs.py     server and section preferences, butler tasks: tables
    notices.py   what a listening client is told when something changes
    wire.py      elements, and how they look as XML and as JSON
    routes.py    request -> library -> elements: the table and what its functions share; no rules of its own
    server_routes.py section_routes.py item_routes.py group_routes.py    the functions, by what they are about
    service.py   the Service that simulators.serving runs: token, window, compression, control calls
    __main__.py  run it by hand

library imports images, prefs and search; wire imports library; routes imports all but service. Nothing in
here imports plexsync.
"""
