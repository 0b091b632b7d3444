"""What an export keeps, and what it saves."""
