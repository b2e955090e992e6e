"""The commands `onek benchmark` and `onek demo`: parse, call, print."""
