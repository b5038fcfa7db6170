"""Plugins, none of which is right but one sampler."""
