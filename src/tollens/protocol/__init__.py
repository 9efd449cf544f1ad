"""What would kill it: findings, claims and verdicts; values in, values out."""
