"""Decide the outcome of a completed run.

- `verdict.py`: collects the facts of the run and has them judged
- `outcome.py`: the rules, from facts and baseline to the outcome and its reason
- `baseline.py`: what earlier runs of the source brought
- `contradictions.py`: records of files that contradict each other, one of the facts
- `reading_notes.py`: how records were read: unreadable values, the most frequent reason for rejects
- `drift.py`: whether drift fails the run, when it is closed
- `ending.py`: the types of facts, baseline and ending
"""
