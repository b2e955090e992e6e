"""What is measured and how. Each benchmark is a function, and a command of `onek benchmark`."""
