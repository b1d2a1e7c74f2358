"""fleet's own API, version 1, over the same ledger as the native one.

    GET            /fleet/v1/machines      PATCH: metadata
    GET            /fleet/v1/units         ?nextPageToken=
    GET PUT DELETE /fleet/v1/units/NAME
    GET            /fleet/v1/state         ?machineID= &unitName= &nextPageToken=
    GET            /fleet/v1/state/NAME
    GET            /fleet/v1/discovery     the API described to Google's client libraries

``/v1-alpha`` is an alias of ``/fleet/v1``. The words, the status of each refusal and its text are
fleet 1.0's, so that its clients go on working; what differs on purpose is told in docs/fleet.md.
"""
