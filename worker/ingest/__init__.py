"""One run: fetch pages, check records, load batches, judge the result."""
