"""False alarms, delay and sensitivity of the drift detector on simulated traffic, beside other methods."""
