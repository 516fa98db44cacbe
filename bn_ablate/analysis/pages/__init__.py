"""What is read: the report, the page of all claims, tables, two folders side by side, the paper kit."""
