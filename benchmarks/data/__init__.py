"""What is measured on: synthetic templates, drawn people, photographs made worse."""
