"""The schemas of runs and of what they counted, refused and found."""
