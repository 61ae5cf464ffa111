"""What every measurement of the benchmark uses: servers, receivers, the machine, the results."""
