"""Where the limit lies, what it promises, and what moves it."""
