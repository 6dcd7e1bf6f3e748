"""What a person does with a line from its PC: set it up, look into it, prove it. No part waits for any of it."""
