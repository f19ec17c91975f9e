"""Deterministic simulation: server, clients and network in one process under a seeded scheduler.

`world` is time and the order of events, `network` the byte pipes, `node` a
server that can crash and come back, `client` the devices, `workload` what
people do with them, `faults` what goes wrong, `history` what everybody saw and
`checker` the judge. `cluster` is three nodes over one Redis instead of one.
`python -m tests.simulation.run --seed N` replays a run.
"""
