"""The page `/docs`: the OpenAPI document as HTML that is read without scripts, or anything else from elsewhere."""
