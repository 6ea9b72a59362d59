"""Programs that run inside the image, beside nothing of ours: Python 3.8 and its standard library."""
