"""Home of the faces that clients of Marathon, Chronos and Mesos speak; there are none yet."""
