"""What may be built: descriptions, exact costs, families, diagrams. Torch only in `modules`."""
