"""What a network and a broker do to their clients, done on purpose, with an account of every message at the end."""
