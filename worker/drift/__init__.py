"""How the shape of records changes: shapes, comparison, ledger."""
