"""What is measured: pairs, histograms, totals, and what the service uses."""
