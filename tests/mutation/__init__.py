"""Would a test notice? The four files that carry the promises, mutated and tried one after the other."""
