"""What Flagent's own clients accept, as a reader that refuses what they refuse; see `readers`."""
