"""Whether a vendor's bill matches what was measured, and what explains where it does not. Pure."""
