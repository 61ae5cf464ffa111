"""The machine around the kernel: child processes, JupyterLab, the connection to the service."""
