"""What pictures are worth: the tables of encoders, and what the gate, the score and the fused templates bring."""
