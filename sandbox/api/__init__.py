"""The API under /v1: server (one request from key to answer), table (what exists), one module per noun."""
