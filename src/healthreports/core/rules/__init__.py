"""What makes a body right: attributes as sent -> a draft, and every problem in it."""
