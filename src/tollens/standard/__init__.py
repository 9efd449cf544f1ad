"""What proves us: reference experiments with a known answer."""
