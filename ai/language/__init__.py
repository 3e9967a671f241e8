"""How messages are spelled: characters, tokens, numbers, the words and the names the reader knows. Pure."""
