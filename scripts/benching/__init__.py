"""What `scripts/bench.py` is made of: cases, peers in processes of their own, rounds, and the tables."""
