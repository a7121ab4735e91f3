"""What runs on the rented machine, beside somebody else's training. The standard library is enough for it."""
