"""How often the control charts cry without cause, and how soon they tell a change."""
