"""The two promises as figures: what is measured, how often, with which seed, and whether it held."""
