"""The pages as people meet them: one list of pages, one list of standings, and what all of them must hold."""
