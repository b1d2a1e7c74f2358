"""Real machines for fleetish: the Vagrantfile, and a test of it on emulated ones."""
