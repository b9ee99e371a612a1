"""Studies: many recipes, seeds and label fractions on the same drives, compared pair by pair."""
