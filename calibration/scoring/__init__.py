"""What each score definition needs of the good parts, and what they score as if they were new."""
