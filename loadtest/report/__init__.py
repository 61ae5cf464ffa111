"""A run as a file, as text, as one HTML page, and its charts as SVG."""
