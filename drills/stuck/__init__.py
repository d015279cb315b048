"""The drill `stuck-drain`: a release that does not drain, and the way out that its runbook says."""
