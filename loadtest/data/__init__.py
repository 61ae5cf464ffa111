"""Sample data, and the program that generates it."""
