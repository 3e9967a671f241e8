"""The controls. Each is a small pure function of one leg (or of the plan) that always answers with one finding."""
