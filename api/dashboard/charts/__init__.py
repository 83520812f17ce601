"""The geometry of charts. The templates draw it; colours come from the style sheet."""
