"""The command line: `imserver`.

`main` puts the commands together. Administration (`users`, `groups`, `tokens`,
`sessions`) goes through `operator`: to the running server over its control
socket or, where none runs, to the same services over the data directory.
`talk` is a small client of its own.
"""
