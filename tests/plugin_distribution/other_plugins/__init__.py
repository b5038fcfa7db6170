"""One plugin of each kind, each in a module of its own."""
