"""What every panel is made of: theme, chart parts, tasks, tables."""
