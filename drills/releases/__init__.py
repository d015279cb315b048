"""Drills of releases: many in a row, bad ones, rollbacks; the controller, SSM and Redis fail meanwhile.

They run on servers, workers, beat and a controller of their own (`drills.releases.rig`): a release is a real
stack in the emulated account, which waits for the controller's answer. `drills.releases.cli` holds what needs
the CDK's command line and the deployed fleet.
"""
