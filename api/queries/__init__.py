"""What the API asks: one function per question, one SELECT each."""
