"""The use cases behind all doors: validate, plan, run, resume, follow, undo, export."""
