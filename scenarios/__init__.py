"""Trouble on purpose, each ending in calm and a verdict: `python -m scenarios list`.

    scenario.py   Scenario and its parts; every part has a default that does nothing
    workloads.py  what people do in Stash, as acts and as whole lanes of acts
    trouble.py    what goes wrong, as acts
    runner.py     build, play, heal, drain, judge
    world.py      a real world: both simulators and the plugin, a process each
    history.py    what was asked and what came of it
    in_sync.py     what Plex is to say when Stash says this, told independently of the plugin
    checks.py     pure verdicts on a history
    cases/        a scenario a file, named for its trouble

Imports the simulators; of plexsync only what a simulated world is made of. Nothing imports scenarios but its tests.
"""
