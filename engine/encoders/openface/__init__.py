"""OpenFace's nn4.small2 (Amos et al. 2016)."""
