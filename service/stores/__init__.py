"""Where scores live: the contract and the stores that keep it."""
