"""Side by side with the peers and beside the floor, in one run; nothing here is imported by the product."""
