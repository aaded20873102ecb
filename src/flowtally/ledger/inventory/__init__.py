"""What a seller has: the places of its products, and what is leased."""
