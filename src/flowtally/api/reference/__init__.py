"""The page `/docs`: the OpenAPI document as HTML that is read without scripts, fonts or anything else from elsewhere.

Owns how the document looks to people. What it says is `openapi`'s; where and how the page is served is `health`'s.
"""
