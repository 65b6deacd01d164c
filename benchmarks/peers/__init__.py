"""The same flags in the SDKs of others: one adapter for each, which its own process imports in its own environment."""
