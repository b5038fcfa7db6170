"""Takes itself for a program."""

raise SystemExit("no display")
