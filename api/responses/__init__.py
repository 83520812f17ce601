"""Envelope, caching, formats, paging and export."""
