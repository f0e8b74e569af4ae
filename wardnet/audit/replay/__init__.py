"""Real packets against the verdict: what to send (`plan`), and what its outcome says (`judge`). Pure; whoever sends
them is outside, behind the JSON of the plan and the answers (`wire`)."""
