"""Pictures of an architecture: SVG for pages, lines for terminals, one line for lists."""


