"""How amounts and documents are written for people."""
