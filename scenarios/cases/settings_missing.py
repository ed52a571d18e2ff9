"""Nothing is set up yet when the first edits come; they are kept, and synced when the settings are there."""

from scenarios.scenario import At, Expect, Scenario
from scenarios.trouble import Setting
from scenarios.workloads import Edit

SCENARIO = Scenario(
    "settings_missing",
    __doc__,
    workload=(At(0.3, Edit(1, {"title": "Early"})), At(0.6, Edit(2, {"title": "Early too"}))),
    trouble=(At(0.0, Setting("plex_token", "")), At(3.0, Setting("plex_token", None))),
    expect=Expect(drain_s=40),
)
