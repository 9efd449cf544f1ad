"""One thin file a verb; the only place that prints."""
