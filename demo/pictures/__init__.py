"""`make pictures`: the pictures of the documentation, made from a real run of the demo."""
