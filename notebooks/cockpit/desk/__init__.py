"""The desk: load tests sent from the notebook, the faults they suffer, and the knee."""
