"""Settings, secrets, networks and options: how the program is told what to do."""
