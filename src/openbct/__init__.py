"""OpenBCT: bone strength, density and fracture-risk assessment from clinical CT scans. Research use only."""
