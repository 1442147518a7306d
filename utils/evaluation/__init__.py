"""Evaluate a head: pairs, protocols, figures, reports and plots."""
