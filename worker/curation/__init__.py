"""Decisions of people about listings: corrections, retirements, the crosswalk, the sample."""
