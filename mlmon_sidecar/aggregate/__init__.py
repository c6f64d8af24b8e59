"""From columns to integers: the pane."""
