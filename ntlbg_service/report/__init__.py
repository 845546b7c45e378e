"""What a suite measured, compared: tables for the terminal, one HTML file for readers."""
