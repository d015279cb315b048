"""What CloudWatch does with alarms, for an account that only stores them.

`definition` reads them, `evaluate` decides (pure), `expressions` and `functions` are metric math,
`windows` says which periods count, `gather` asks for data points and `rounds` puts it all together.
"""
