"""Which listings are one asset: pure functions of listings and rulings."""
