"""How good a head is: pairs, protocols, figures, reports and plots."""
