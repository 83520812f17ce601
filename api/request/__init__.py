"""What every request has: id, trace, timing, negotiation, problems."""
