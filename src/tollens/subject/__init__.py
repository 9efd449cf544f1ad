"""What is examined: checkpoint readers, tensor roles, weight matrices."""
