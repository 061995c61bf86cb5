"""What a JWO item is, and the rules that every row is checked against."""
