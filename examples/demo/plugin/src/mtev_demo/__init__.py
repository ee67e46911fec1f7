"""The demo service's own plugin."""
