"""What `report` does: records into statistics, tables, figures, a Markdown and an HTML page."""
