"""The report: one HTML page, a table for the terminal and a summary, all from metrics and what they were made from."""
