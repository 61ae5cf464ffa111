"""The programs the benchmark compares the service with.

Each is the least that broadcasts a board, written the way its library's documentation shows it, and keeps to
one contract, so that one harness can run them all:

- the first line on stdout is `{"port": …, "pid": …}`, where to connect and which process to measure;
- each line on stdin is an order, `{"hz": …, "board": …}`: from now on send this board so often a second to
  every client, with a `version` that counts up and `sentAt` in Unix milliseconds; `hz` 0 is a rest;
- when stdin closes, the program ends.
"""
