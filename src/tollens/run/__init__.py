"""What is done: scan as a function of subject, workers and settings; the only place that opens files."""
