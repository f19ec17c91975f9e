"""The command line: `imserver`."""
