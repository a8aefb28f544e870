"""Kill and compare: engines die under load, and then every cell of every row is held against what was sent."""
