"""The queries of the API: one function per question, one SELECT each."""
