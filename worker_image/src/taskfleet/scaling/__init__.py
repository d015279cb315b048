"""How many workers a pool needs: decided here, purely; alarms and step policies only carry it out."""
