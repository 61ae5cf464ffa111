"""The live demo: one object that owns a service, its charts and controls."""
