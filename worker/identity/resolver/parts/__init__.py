"""Subsets of listings that are decided separately."""
