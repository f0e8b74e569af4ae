"""`make demo`: the main job, shown on the lab district, with one line for each thing it set out to show."""
