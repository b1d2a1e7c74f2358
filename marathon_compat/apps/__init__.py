"""Marathon's REST API over fleetish: apps, groups, deployments, tasks, events.

    JSON ─decode, validate─► App ─translate─► units ─engine, agents─► states ─show─► JSON
                              └─ documents ─► deployment planner ─► changes

Marathon's words are translations: an app is a family of units, an instance is one unit, a task is
one run of it, a deployment is a document that a planner works off.
"""
