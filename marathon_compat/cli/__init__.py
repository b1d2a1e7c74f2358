"""``fleetish app``: the command line over Marathon's API."""
